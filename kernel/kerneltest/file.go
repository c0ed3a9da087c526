package kerneltest

import (
	"bytes"
	"os"

	"github.com/whorl-go/whorl/kernel"
)

// files returns the Files of c, or skips the subtest.
func (g *rig) files(c kernel.Conn) kernel.Files {
	g.Helper()
	f, ok := kernel.ConnAs[kernel.Files](c)
	if !ok {
		g.Skip("no kernel.Files")
	}
	return f
}

// opened opens a file.
func (g *rig) opened(name string, flag int) *os.File {
	g.Helper()
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { f.Close() })
	return f
}

// writeFile: a file is sent in pieces of at most 256 KiB, in order with what is written, until the conn is full; its position does not move
// (TCP-102).
func writeFile(g *rig) {
	c, s := g.pair()
	to, want := g.files(c), pattern(8<<20)
	f := g.file(want)
	const from = 100
	g.send(c, want[:from])
	got, buf := make([]byte, 0, len(want)), make([]byte, 1<<20)
	refused := false
	for at := from; len(got) < len(want); {
		n, err := to.WriteFile(kernel.FileRange{File: f, Offset: int64(at), Length: len(want) - at, MayWait: true})
		switch {
		case at == len(want) && n == 0 && err == nil: // nothing is left
		case err == kernel.ErrAgain && n == 0:
			refused = true
		case err != nil || n < 1 || n > 256<<10:
			g.Fatalf("TCP-102: WriteFile from %d on: %d, %v", at, n, err)
		}
		if at += n; at < len(want) && !refused {
			continue // until the conn is full
		}
		m, err := g.read(s, buf)
		if err != nil {
			g.Fatalf("Read: %v", err)
		}
		if got = append(got, buf[:m]...); at < len(want) && len(got) == at {
			g.becomes(c, kernel.Writable)
		}
	}
	if !refused || !bytes.Equal(got, want) {
		g.Errorf("TCP-102: %d bytes came of %d, or others; ErrAgain: %v", len(got), len(want), refused)
	}
	if at, err := f.Seek(0, 1); at != 0 || err != nil {
		g.Errorf("TCP-102: the position of the file is %d, %v", at, err)
	}
}

// mustRead: what cannot be sent in this way is ErrMustRead, bare, and nothing of it is sent. Without MayWait that may be anything
// (TCP-103).
func mustRead(g *rig) {
	c, s := g.pair()
	to, f := g.files(c), g.file(pattern(10_000))
	dir := g.opened(g.TempDir(), os.O_RDONLY)
	closed := g.file(pattern(10))
	closed.Close()
	r, w, err := os.Pipe()
	if err != nil {
		g.Fatal(err)
	}
	defer r.Close()
	w.Close()
	for what, at := range map[string]kernel.FileRange{
		"the end":        {File: f, Offset: 10_000, Length: 1},
		"behind the end": {File: f, Offset: 1 << 40, Length: 1},
		"a directory":    {File: dir, Length: 10},
		"a closed file":  {File: closed, Length: 10},
		"a pipe":         {File: r, Length: 10},
		"writing only":   {File: g.opened(f.Name(), os.O_WRONLY), Length: 10},
	} {
		for _, at.MayWait = range []bool{false, true} {
			if n, err := to.WriteFile(at); n != 0 || err != kernel.ErrMustRead {
				g.Errorf("TCP-103: of %s, may wait %v: %d, %v", what, at.MayWait, n, err)
			}
		}
	}
	n, err := to.WriteFile(kernel.FileRange{File: f, Length: 20_000, MayWait: true})
	if n < 1 || n > 10_000 || err != nil {
		g.Errorf("TCP-103: a range beyond the end: %d, %v", n, err)
	}
	g.receive(s, n)
	n, err = to.WriteFile(kernel.FileRange{File: f, Length: 10_000})
	if (n == 0) != (err == kernel.ErrMustRead) || err != nil && err != kernel.ErrMustRead {
		g.Errorf("TCP-103: what may be in memory: %d, %v", n, err)
	}
	g.send(c, []byte("x"))
	if got := g.receive(s, n+1); !bytes.Equal(got[:n], pattern(10_000)[:n]) || got[n] != 'x' {
		g.Errorf("TCP-103: other bytes came")
	}
}

// writeFileToTheGone: a conn that takes nothing more says so as for Write (TCP-102).
func writeFileToTheGone(g *rig) {
	c, _ := g.pair()
	to, piece := g.files(c), kernel.FileRange{File: g.file(pattern(10)), Length: 10, MayWait: true}
	if err := c.CloseWrite(); err != nil {
		g.Fatal(err)
	}
	_, err := to.WriteFile(piece)
	g.isOne("TCP-102: WriteFile after CloseWrite", err, kernel.ErrBroken)
	c.Close()
	if n, err := to.WriteFile(piece); n != 0 || err != kernel.ErrClosed {
		g.Errorf("TCP-102: WriteFile after Close: %d, %v", n, err)
	}
}
