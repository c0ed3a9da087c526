package native

func candidates() []candidate {
	return []candidate{{"epoll", openEpoll}, {"poll", openPoll}, {"select", openSelect}}
}
