package supervise

import (
	"bytes"
	"testing"
)

// A worker that writes no line ends, such as one with a progress bar, does not fill the memory of its supervisor.
func TestEndlessLine(t *testing.T) {
	var parts, bytesTold int
	s := &Supervisor{Line: func(_ *Worker, _ int, line []byte, whole bool) {
		if bytesTold += len(line); len(line) > maxLine {
			t.Fatalf("a line of %d bytes", len(line))
		}
		if !whole {
			parts++
		}
	}}
	x := &run{g: &group{s: s}, w: new(Worker)}
	piece := bytes.Repeat([]byte("\r50 %"), 1000)
	for range 100 {
		x.DataReceived(1, piece)
		if len(x.part) > maxLine {
			t.Fatalf("%d bytes are kept", len(x.part))
		}
	}
	x.DataReceived(1, []byte("\ndone\n"))
	if want := 100*len(piece) + len("done"); bytesTold != want || parts == 0 {
		t.Errorf("%d bytes in all, %d parts of a line; want %d bytes", bytesTold, parts, want)
	}
}
