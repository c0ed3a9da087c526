package native

import (
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Somebody closes the descriptor that tells of a child's exit, and another child's has the number then. Each child is signalled,
// waited for and given up by itself all the same, and the number stays the second one's.
func TestSpawnNoticeGone(t *testing.T) {
	for _, name := range Names() {
		for _, without := range []bool{false, true} {
			leaktest.KeepsDescriptors(t)
			b := openWith(t, name)
			b.noPidfd = without
			first, second := oneNumber(t, b)
			if err := first.Signal(syscall.SIGKILL); err != nil {
				t.Errorf("%s: signal: %v", name, err)
			}
			if e, _ := awaitChild(first); e.Signal != syscall.SIGKILL {
				t.Errorf("%s: the first exited by %+v", name, e)
			}
			first.Close()
			if _, gone, err := second.Wait(); gone || err != nil {
				t.Errorf("%s: the second is gone: %v, %v", name, gone, err)
			}
			if err := isOpen(int(second.exit.fd)); err != nil {
				t.Errorf("%s: the second's number is closed: %v", name, err)
			}
			if err := second.Signal(syscall.SIGTERM); err != nil {
				t.Errorf("%s: signal: %v", name, err)
			}
			if _, e := finish(t, b, second); e.Signal != syscall.SIGTERM {
				t.Errorf("%s: the second exited by %+v", name, e)
			}
			second.Close()
			noChildren(t)
		}
	}
}

// A child that is given up while it runs closes no number that is somebody else's by now.
func TestSpawnNoticeGoneAndGivenUp(t *testing.T) {
	for _, without := range []bool{false, true} {
		b := openWith(t, "epoll")
		b.noPidfd = without
		first, second := oneNumber(t, b)
		first.Close()
		if err := syscall.Kill(first.n.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for i := 0; syscall.Kill(first.n.pid, 0) == nil; i++ { // until its status is taken
			if unix.Poll(nil, 1); i == 5000 {
				t.Fatal("nobody takes the status of the first")
			}
		}
		unix.Poll(nil, 20) // a close would follow at once
		if err := isOpen(int(second.exit.fd)); err != nil {
			t.Errorf("the second's number is closed: %v", err)
		}
		second.Signal(syscall.SIGKILL)
		finish(t, b, second)
		second.Close()
	}
}

func sleeper(t *testing.T, b *base) *child {
	t.Helper()
	x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/sleep", Args: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	return x.(*child)
}

// oneNumber starts two children, of which the second has the number of the first one's notice. A goroutine that waited for an earlier child may
// close a descriptor meanwhile, so that the second gets another number; then it tries again.
func oneNumber(t *testing.T, b *base) (first, second *child) {
	t.Helper()
	for range 100 {
		first = sleeper(t, b)
		unix.Close(first.n.fd)
		if second = sleeper(t, b); second.exit.fd == int32(first.n.fd) {
			return first, second
		}
		b.lose(&first.exit)
		for _, c := range []*child{first, second} {
			c.Signal(syscall.SIGKILL)
			awaitChild(c)
			c.Close()
		}
	}
	t.Fatal("no number was used again")
	return nil, nil
}

// awaitChild waits for the exit without the notice.
func awaitChild(c *child) (kernel.Exit, error) {
	for range 5000 {
		if e, gone, err := c.Wait(); gone || err != nil {
			return e, err
		}
		unix.Poll(nil, 1)
	}
	return kernel.Exit{}, nil
}
