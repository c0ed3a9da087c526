package process

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
)

// LookupCredential returns the credential of a user, by name or by number: the user, its group, and its other groups. It reads the system's lists, which may
// take long: do it before the reactor runs, or by reactor.InThread. It may be called from any goroutine. The error is one of package os/user, such as
// user.UnknownUserError.
func LookupCredential(name string) (*kernel.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u2, err2 := user.LookupId(name); err2 == nil {
			u, err = u2, nil
		}
	}
	if err != nil {
		return nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	c := &kernel.Credential{}
	if c.UID, err = strconv.Atoi(u.Uid); err == nil {
		c.GID, err = strconv.Atoi(u.Gid)
	}
	for _, g := range groups {
		n, bad := strconv.Atoi(g)
		if bad != nil {
			err = bad
			break
		}
		c.Groups = append(c.Groups, n)
	}
	if err != nil {
		return nil, fmt.Errorf("process: user %q has no number: %w", name, err)
	}
	return c, nil
}
