package leasing

import (
	"strings"
	"testing"
	"time"
)

// What String writes, Parse reads.
func TestMessages(t *testing.T) {
	for _, m := range []Message{
		{Kind: Find, Server: "s"},
		{Kind: Here, Server: "s"},
		{Kind: Ask, Server: "s", Client: "c", Number: 1 << 63, Name: "n"},
		{Kind: Taken, Server: "s", Client: "c", Number: 7, Name: "n", Span: 1500 * time.Millisecond},
	} {
		if back, ok := Parse([]byte(m.String())); !ok || back != m {
			t.Errorf("%+v is read as %+v, %v", m, back, ok)
		}
	}
	for _, text := range []string{"", "lease1", "lease2 ask s c 1 n 0", "lease1 ask s c -1 n 0", "lease1 ask s c 1 n x", "lease1 ask s c 1 n 99999999999",
		"lease1 ask s c 1 n 0 more", "lease1 ask s c 1 n 0" + strings.Repeat(" ", maxMessage)} {
		if m, ok := Parse([]byte(text)); ok {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
	for text, want := range map[string]bool{"a": true, "": false, "-": false, "a b": false, "a\n": false, strings.Repeat("x", 65): false} {
		if Plain(text) != want {
			t.Errorf("Plain(%q) is %v", text, !want)
		}
	}
}

// Whatever comes, Parse returns, and what it accepts can be sent again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("lease1 ask s c 1 n 0"))
	f.Add([]byte("lease1 - 0 0 0 0 0"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, ok := Parse(p)
		if !ok {
			return
		}
		if back, ok := Parse([]byte(m.String())); !ok || back != m {
			t.Errorf("%q: %+v, and then %+v", p, m, back)
		}
	})
}
