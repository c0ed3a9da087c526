package device_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// watchModel is a recursive watch, on a system, whose events make a model.
func watchModel(t *testing.T, r *reactor.Reactor, dir string, strict bool, sys device.Inotify) (*device.Notifier, *model) {
	t.Helper()
	n, err := device.NewNotifierOn(r, device.NotifierConfig{}, sys)
	do(t, err)
	t.Cleanup(n.Close)
	m := &model{t: t, dir: dir, strict: strict, paths: map[string]bool{}}
	ready := false
	_, err = n.Add(dir, device.WatchConfig{Recursive: true, Mask: device.Create | device.Delete | device.Moved, Ready: func() { ready = true }}, m.event)
	do(t, err)
	testworld.Until(t, func() bool { return ready }, r)
	return n, m
}

// agrees turns the loop until the events are over, and compares the model with the tree.
func (m *model) agrees(r *reactor.Reactor, n *device.Notifier) {
	m.t.Helper()
	settle(m.t, r, n)
	if all := m.differences(); len(all) > 0 {
		m.t.Fatalf("%d differences after %d events, %d overflows: %.2000q", len(all), m.events, m.lost, all)
	}
	// Every directory is watched, and nothing else.
	dirs := 0
	_ = filepath.WalkDir(m.dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs++
		}
		return nil
	})
	if n.Watches() != dirs {
		m.t.Fatalf("%d watches for %d directories", n.Watches(), dirs)
	}
}

// INOT-4: a tree that is built and torn down at full speed by other programs. A final comparison finds nothing missing.
func TestCopyAndRemove(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		source, dir := t.TempDir(), t.TempDir()
		for i := range 8 { // in all it is more than one turn lists
			for j := range 6 {
				d := fmt.Sprintf("%s/tree/%d/%d/deep/deeper", source, i, j)
				do(t, os.MkdirAll(d, 0o700))
				touch(t, d+"/1", d+"/2", filepath.Dir(d)+"/3")
			}
		}
		n, m := watchModel(t, r, dir, false, device.SystemInotify())
		run := func(commands string) {
			t.Helper()
			cmd := exec.Command("sh", "-c", commands, "sh", source+"/tree", dir)
			over := make(chan error, 1)
			do(t, cmd.Start())
			go func() {
				over <- cmd.Wait()
				r.Post(func() {})
			}()
			ended := false
			testworld.Until(t, func() bool {
				select {
				case err := <-over:
					do(t, err)
					ended = true
				default:
				}
				return ended
			}, r)
			m.agrees(r, n)
		}
		m.strict = true
		run(`cp -r "$1" "$2"/a`)
		m.strict = false
		if len(m.paths) != 8*6*6+8+1 {
			t.Errorf("%d paths", len(m.paths))
		}
		run(`rm -r "$2"/a`)
		run(`for i in 1 2 3; do cp -r "$1" "$2"/a; rm -r "$2"/a; done; cp -r "$1" "$2"/b`)
		run(`cp -r "$1" "$2"/c & rm -r "$2"/b; wait`)
		run(`cp -r "$1" "$2"/d & mv "$2"/c "$2"/e; mv "$2"/e "$2"/d/f; wait; rm -r "$2"/d/f/1; cp -r "$1" "$2"/c`)
	})
}

// Events lead to another directory than they mean, because that was moved before they were read. It is noticed.
func TestMisled(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		do(t, os.Mkdir(dir+"/c", 0o700))
		n, m := watchModel(t, r, dir, false, device.SystemInotify())
		m.paths["c"] = true
		swap := func(to string) {
			t.Helper()
			do(t, os.Mkdir(dir+"/b", 0o700))
			do(t, os.Rename(dir+"/b", dir+to))
			do(t, os.Mkdir(dir+"/b", 0o700))
		}
		swap("/a")
		m.agrees(r, n)
		touch(t, dir+"/a/f", dir+"/b/g")
		m.agrees(r, n)
		do(t, os.RemoveAll(dir+"/b"))
		m.agrees(r, n)
		// The one that they lead to is removed before that is noticed.
		swap("/c/d")
		do(t, n.Pull())
		do(t, os.Remove(dir+"/b"))
		do(t, n.Pull())
		touch(t, dir+"/c/d/f")
		m.agrees(r, n)
		touch(t, dir+"/c/d/g")
		m.agrees(r, n)
	})
}

// The same, when the directory was listed before the events that say so came.
func TestMisledAndListed(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		sys := device.SystemInotify()
		add, swapped := sys.Add, false
		sys.Add = func(fd int, path string, mask uint32) (int32, error) {
			if path == dir+"/b" && !swapped { // somebody is faster
				swapped = true
				do(t, os.Rename(path, dir+"/a"))
				do(t, os.Mkdir(path, 0o700))
			}
			return add(fd, path, mask)
		}
		n, m := watchModel(t, r, dir, false, sys)
		do(t, os.Mkdir(dir+"/b", 0o700))
		m.agrees(r, n)
		touch(t, dir+"/a/f", dir+"/b/g")
		m.agrees(r, n)
	})
}

// A tree with every kind of change, at random, among few names, while the loop is far behind.
func TestRandomChanges(t *testing.T) {
	seeds := 20
	if testing.Short() || raced {
		seeds = 3
	}
	for _, w := range testworld.Native() {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", w.Name(), seed), func(t *testing.T) {
				r, dir := w.New(t, reactor.Config{}), t.TempDir()
				n, m := watchModel(t, r, dir, false, device.SystemInotify())
				const workers = 1
				over := make(chan bool, workers)
				for i := range workers {
					random := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
					go func() {
						for range 150 {
							change(random, dir)
						}
						over <- true
						r.Post(func() {})
					}()
				}
				ended := 0
				testworld.Until(t, func() bool {
					select {
					case <-over:
						ended++
					default:
					}
					return ended == workers
				}, r)
				m.agrees(r, n)
			})
		}
	}
}

// change makes one change, or fails to.
func change(random *rand.Rand, dir string) {
	at := func() string {
		p := dir
		for range 1 + random.IntN(3) {
			p += "/" + string(rune('a'+random.IntN(3)))
		}
		return p
	}
	p := at()
	switch random.IntN(8) {
	case 0, 1:
		_ = os.Mkdir(p, 0o700)
	case 2:
		_ = os.MkdirAll(p, 0o700)
	case 3:
		_ = os.WriteFile(p, nil, 0o600)
	case 4:
		_ = os.RemoveAll(p)
	case 5:
		_ = os.Remove(p)
	default:
		_ = renameOver(p, at())
	}
}

// A directory was listed before the events came that tell of a file that had its name before. When the file goes, what is in the
// directory is told once more.
func TestListedAfterFile(t *testing.T) {
	leave := map[string]func(dir string) error{
		"removed":    func(dir string) error { return os.Remove(dir + "/a/c") },
		"moved away": func(dir string) error { return os.Rename(dir+"/a/c", dir+".away") },
		"moved":      func(dir string) error { return os.Rename(dir+"/a/c", dir+"/a/f") },
		"moved up":   func(dir string) error { return os.Rename(dir+"/a/c", dir+"/f") },
	}
	for name, gone := range leave {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, r *reactor.Reactor) {
				dir := t.TempDir() + "/watched"
				do(t, os.Mkdir(dir, 0o700))
				sys := device.SystemInotify()
				add, done := sys.Add, false
				sys.Add = func(fd int, path string, mask uint32) (int32, error) {
					wd, err := add(fd, path, mask)
					if path == dir+"/a" && !done {
						done = true
						touch(t, path+"/c")
						do(t, gone(dir))
						do(t, os.MkdirAll(path+"/c/d/e", 0o700))
						touch(t, path+"/c/d/f")
					}
					return wd, err
				}
				n, m := watchModel(t, r, dir, false, sys)
				do(t, os.Mkdir(dir+"/a", 0o700))
				m.agrees(r, n)
				touch(t, dir+"/a/c/d/g")
				m.agrees(r, n)
			})
		})
	}
}
