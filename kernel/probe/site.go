package probe

// Forcer is implemented by a kernel.Kernel that makes its reactor take rare branches. A
// real run takes them by chance: when the loop is busy, or when the sizes of writes add
// up in a certain way. A program must not notice them. A reactor looks for a Forcer with
// kernel.As.
//
// A Forcer does not force what a kernel may do by its own contract, such as a short read
// or a reset. A simulated kernel does that itself.
type Forcer interface {
	// Force tells whether the reactor takes the rare branch of that site now. It is
	// called on the loop's goroutine, each time the reactor reaches the site.
	Force(Site) bool
}

// Site is a point in the reactor at which a rare branch can be forced.
type Site uint8

// The sites.
const (
	// SiteScribble overwrites the read buffer after DataReceived has returned.
	SiteScribble Site = iota
	// SiteFlushLater sends in the next turn what would be sent now.
	SiteFlushLater
	// SiteFlushNow sends at once what would wait until the callback returns, as if it had
	// filled a buffer. Bytes written just before an Abort may then arrive.
	SiteFlushNow
	// SiteResumeLater resumes a producer a turn later.
	SiteResumeLater
	// SiteTimersOne makes only one of the delayed calls that are due.
	SiteTimersOne
	// SitePostsLater leaves posted functions for the next turn, as if they had come late.
	SitePostsLater

	// Sites is the number of sites. They are numbered from 0.
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
