package device_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// worlds runs body on every kernel: devices are the system's.
func worlds(t *testing.T, body func(t *testing.T, r *reactor.Reactor)) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { body(t, w.New(t, reactor.Config{})) })
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// touch makes files.
func touch(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		do(t, os.WriteFile(p, nil, 0o600))
	}
}

func newTestNotifier(t *testing.T, r *reactor.Reactor) *device.Notifier {
	t.Helper()
	n, err := device.NewNotifier(r, device.NotifierConfig{})
	do(t, err)
	t.Cleanup(n.Close)
	return n
}

// diary is what a watch has told, a line an event: the mask and the path below dir.
type diary struct {
	t     *testing.T
	dir   string
	lines []string
	ready int
}

func (d *diary) event(e device.Event) {
	line := e.Mask.String() + " " + d.short(e.Path)
	if e.Old != "" {
		line += " was " + d.short(e.Old)
	}
	if e.Scanned {
		line += " scanned"
	}
	if e.Err != nil {
		line += " " + e.Err.Error()
	}
	d.lines = append(d.lines, line)
}

func (d *diary) short(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, d.dir), "/")
}

// recursive is a recursive watch that is ready.
func recursive(t *testing.T, r *reactor.Reactor, n *device.Notifier, dir string) (*device.Watch, *diary) {
	t.Helper()
	d := &diary{t: t, dir: dir}
	w, err := n.Add(dir, device.WatchConfig{Recursive: true, Mask: device.Create | device.Delete | device.Moved, Ready: func() { d.ready++ }}, d.event)
	do(t, err)
	if len(d.lines) > 0 || d.ready > 0 {
		t.Fatal("told inside Add")
	}
	testworld.Until(t, func() bool { return d.ready == 1 }, r)
	return w, d
}

// settle turns the loop until nothing is left to read or to list.
func settle(t *testing.T, r *reactor.Reactor, n *device.Notifier) {
	t.Helper()
	for quiet := 0; quiet < 3; quiet++ {
		do(t, r.Turn(0))
		if n.Busy() {
			do(t, r.Turn(device.DefaultMoveWindow))
			quiet = 0
		}
	}
}

// wants checks the whole diary and empties it.
func (d *diary) wants(want ...string) {
	d.t.Helper()
	if !slices.Equal(d.lines, want) {
		d.t.Errorf("told\n\t%s\nwant\n\t%s", strings.Join(d.lines, "\n\t"), strings.Join(want, "\n\t"))
	}
	d.lines = nil
}

// model is a tree as the events tell it.
type model struct {
	t      *testing.T
	dir    string
	strict bool // nothing may be told twice
	paths  map[string]bool
	events int
	lost   int
}

func (m *model) event(e device.Event) {
	m.events++
	p := strings.TrimPrefix(strings.TrimPrefix(e.Path, m.dir), "/")
	switch {
	case e.Err != nil:
		m.t.Errorf("%s: %v", e.Path, e.Err)
	case e.Mask&device.Overflow != 0:
		m.lost++
		m.paths = map[string]bool{}
	case e.Mask&device.Moved == device.Moved:
		old := strings.TrimPrefix(strings.TrimPrefix(e.Old, m.dir), "/")
		moved := m.without(old)
		m.without(p)
		m.paths[p] = true
		for _, rest := range moved {
			m.paths[p+rest] = true
		}
	case e.Mask&(device.Create|device.MovedTo) != 0:
		if m.strict && m.paths[p] {
			m.t.Errorf("%s was told twice: %v, scanned %t", p, e.Mask, e.Scanned)
		}
		m.paths[p] = true
	case e.Mask&(device.Delete|device.MovedFrom) != 0:
		m.without(p)
	}
}

// without removes a path and what is below it, and returns what stood behind the path.
func (m *model) without(path string) (rests []string) {
	delete(m.paths, path)
	for p := range m.paths {
		if strings.HasPrefix(p, path+"/") {
			rests = append(rests, p[len(path):])
			delete(m.paths, p)
		}
	}
	return rests
}

// missing are the paths that differ between the model and the tree.
func (m *model) differences() (all []string) {
	there := map[string]bool{}
	err := filepath.WalkDir(m.dir, func(p string, _ fs.DirEntry, err error) error {
		if p != m.dir && err == nil {
			there[p[len(m.dir)+1:]] = true
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	for p := range there {
		if !m.paths[p] {
			all = append(all, "not told: "+p)
		}
	}
	for p := range m.paths {
		if !there[p] {
			all = append(all, "not there: "+p)
		}
	}
	slices.Sort(all)
	return all
}

// renameOver is rename(2): os.Rename does not replace an empty directory.
func renameOver(from, to string) error { return unix.Rename(from, to) }
