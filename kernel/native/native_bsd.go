//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

func candidates() []candidate {
	return []candidate{{"poll", openPoll}, {"select", openSelect}}
}
