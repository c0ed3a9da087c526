package probe

// Forcer is implemented by a kernel.Kernel that makes the reactor on it take rare
// branches: ones that a busy loop, or the way in which the sizes of writes add up, would
// lead to by chance. A program must not notice them. What a kernel may do by its own
// contract, such as a short read or a reset, is not among them: a simulated kernel does
// that itself. A reactor looks for it with kernel.As.
type Forcer interface {
	// Force tells whether the reactor takes the branch of that site now. It is called on
	// the loop's goroutine, each time the reactor comes to the site.
	Force(Site) bool
}

// Site is a place in the reactor where a rare branch can be forced.
type Site uint8

// The sites.
const (
	// SiteScribble overwrites the read buffer when DataReceived has returned.
	SiteScribble Site = iota
	// SiteFlushLater sends in the next turn what would be sent now.
	SiteFlushLater
	// SiteFlushNow sends at once what would wait until the callback returns, as if it had
	// filled a chunk. What is written just before an Abort may then arrive.
	SiteFlushNow
	// SiteResumeLater resumes a producer a turn later.
	SiteResumeLater
	// SiteTimersOne makes one delayed call of those that are due.
	SiteTimersOne
	// SitePostsLater leaves posted functions for the next turn, as if they came late.
	SitePostsLater

	// Sites is how many there are; they are numbered from 0.
	Sites
)

// String is the site's name: "scribble", "flush-later" ...
func (s Site) String() string {
	names := [...]string{"scribble", "flush-later", "flush-now", "resume-later", "timers-one", "posts-later"}
	if int(s) < len(names) {
		return names[s]
	}
	return "site"
}
