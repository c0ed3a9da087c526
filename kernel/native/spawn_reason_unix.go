//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// explained adds to err what the errno of an exec does not say. ENOENT is also the error when the program is there, and what is to run it is not:
// the interpreter of a script, often because its line ends in a carriage return, or the dynamic linker of a binary.
func (s *spawning) explained(errno syscall.Errno, err error) error {
	switch errno {
	case unix.ENOEXEC:
		return fmt.Errorf("%w: it is no program for this machine; a script needs a first line such as #!/bin/sh", err)
	case unix.ENOENT:
		path := s.c.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.c.Dir, path)
		}
		if head, ok := headOf(path); ok {
			return fmt.Errorf("%w: the file is there, but not %s", err, runnerOf(head))
		}
	}
	return err
}

// headOf returns the beginning of a regular file, and whether there is such a file. It may be empty if the file cannot be read.
func headOf(path string) (string, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", false
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", true
	}
	defer unix.Close(fd)
	p := make([]byte, 256) // as much as systems look at
	n, _ := unix.Read(fd, p)
	return string(p[:max(n, 0)]), true
}

// runnerOf names what is to run the file that begins with head.
func runnerOf(head string) string {
	line, script := strings.CutPrefix(head, "#!")
	if !script {
		return "what is to run it, such as the dynamic linker that it names"
	}
	line, _, _ = strings.Cut(line, "\n")
	line = strings.TrimLeft(line, " \t")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		line = line[:i]
	}
	if strings.HasSuffix(line, "\r") {
		return fmt.Sprintf("the interpreter %q of its first line, which ends in a carriage return: the script needs the line ends of Unix", line)
	}
	return fmt.Sprintf("the interpreter %q of its first line", line)
}
