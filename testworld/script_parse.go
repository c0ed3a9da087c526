package testworld

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/whorl-go/whorl/reactor"
)

// kind is what a name of a script stands for.
type kind uint8

const (
	kindPort kind = iota + 1
	kindDial
	kindTimer
)

// String returns the kind as errors name it.
func (k kind) String() string {
	return [...]string{"nothing", "a port", "a dial", "a timer"}[k]
}

// command is one checked command of a script.
type command struct {
	line int
	verb string
	who  string // the name it applies to, if there is one
	run  func(p *play, self *end) error
}

// options are the options of listen and dial.
type options struct {
	stream             reactor.StreamConfig
	half, echo, refuse bool
	timeout            time.Duration
}

// when is an event, and how many bytes must have been received by then.
type when struct {
	event string
	bytes int
}

// Limits on the arguments of a script. They keep it from using all memory.
const (
	maxBytes = 64 << 20
	maxCount = 1000
	maxTime  = 24 * time.Hour
)

// ParseScript parses a script. It checks every command, its arguments, and that each name
// is declared as the right kind of thing. The error names the line, counted from one, and
// says what was expected there.
func ParseScript(text string) (*Script, error) {
	s := &Script{names: map[string]kind{}}
	p := &parser{script: s}
	for i, line := range strings.Split(text, "\n") {
		words, err := split(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(words) == 0 {
			continue
		}
		p.line, p.words, p.usage = i+1, words, ""
		c := p.command(false)
		if p.err == nil && len(p.words) > 0 {
			p.fail("the end of the line")
		}
		if p.err != nil {
			return nil, p.err
		}
		s.commands = append(s.commands, c)
	}
	return s, p.check()
}

// word is one word of a line.
type word struct {
	text   string
	quoted bool
}

// split cuts a line into words. A text in quotes is one word, and # begins a comment.
func split(line string) (words []word, err error) {
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		switch {
		case line == "" || line[0] == '#':
			return words, nil
		case line[0] == '"':
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: expected a text in quotes, as Go writes it", line)
			}
			text, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("%s: expected a text in quotes, as Go writes it", q)
			}
			words = append(words, word{text, true})
			line = line[len(q):]
		default:
			end := strings.IndexFunc(line, func(c rune) bool { return unicode.IsSpace(c) || c == '"' })
			if end < 0 {
				end = len(line)
			}
			words = append(words, word{line[:end], false})
			line = line[end:]
		}
	}
}

// parser reads the words of one line. After the first error its methods return zero
// values.
type parser struct {
	script *Script
	line   int
	words  []word
	usage  string
	err    error
	uses   []use
}

// use is one use of a name.
type use struct {
	line  int
	name  string
	kinds []kind
}

// check finds names that are not declared, or declared as another kind of thing.
func (p *parser) check() error {
	for _, u := range p.uses {
		got := p.script.names[u.name]
		if slices.Contains(u.kinds, got) {
			continue
		}
		want := u.kinds[0].String()
		for _, k := range u.kinds[1:] {
			want += " or " + k.String()
		}
		return fmt.Errorf("line %d: %q is the name of %v: expected that of %s", u.line, u.name, got, want)
	}
	return nil
}

// fail notes what was expected instead of the first word that is left.
func (p *parser) fail(expected string) {
	if p.err != nil {
		return
	}
	found := "the end of the line"
	if len(p.words) > 0 {
		found = strconv.Quote(p.words[0].text)
	}
	p.err = fmt.Errorf("line %d: found %s: expected %s", p.line, found, expected)
	if p.usage != "" {
		p.err = fmt.Errorf("%w (%s)", p.err, p.usage)
	}
}

// command reads a command with its arguments. inside says that it is the argument of
// another command.
func (p *parser) command(inside bool) (c command) {
	if len(p.words) == 0 || p.words[0].quoted {
		p.fail("a command")
		return c
	}
	verb := p.words[0].text
	for _, v := range verbs() {
		if v.name != verb {
			continue
		}
		switch {
		case v.where == onlyInside && !inside:
			p.fail("a command; this one stands only behind on, post or timer")
		case v.where == onlyOutside && inside:
			p.fail("a command; this one stands only at the begin of a line")
		}
		p.words = p.words[1:]
		p.usage = verb + " " + v.usage
		c = command{line: p.line, verb: verb}
		if p.err == nil {
			c.who, c.run = v.parse(p)
		}
		return c
	}
	p.fail("one of " + strings.Join(verbNames(), ", "))
	return c
}

// take takes the first word if ok accepts it.
func (p *parser) take(expected string, ok func(word) bool) string {
	if p.err == nil && (len(p.words) == 0 || !ok(p.words[0])) {
		p.fail(expected)
	}
	if p.err != nil {
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w.text
}

// more tells whether there is another argument.
func (p *parser) more() bool { return p.err == nil && len(p.words) > 0 }

// name takes a name. check will look whether it is of one of these kinds.
func (p *parser) name(kinds ...kind) string {
	n := p.take("the name of "+kinds[0].String(), isName)
	if p.err == nil {
		p.uses = append(p.uses, use{p.line, n, kinds})
	}
	return n
}

// declare takes a new name.
func (p *parser) declare(k kind) string {
	n := p.take("a new name", func(w word) bool {
		return isName(w) && p.script.names[w.text] == 0 && !slices.Contains(specialTargets(), w.text)
	})
	if p.err == nil {
		p.script.names[n] = k
	}
	return n
}

func isName(w word) bool {
	return !w.quoted && w.text != "" && !strings.ContainsFunc(w.text, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '-' && c != '_'
	})
}

// specialTargets are the words that dial takes instead of a port.
func specialTargets() []string { return []string{"refused", "silent", "unknown"} }

// choice takes one of these words.
func (p *parser) choice(choices ...string) string {
	return p.take("one of "+strings.Join(choices, ", "), func(w word) bool {
		return !w.quoted && slices.Contains(choices, w.text)
	})
}

// number takes a number from low to high.
func (p *parser) number(low, high int) int {
	n := 0
	p.take(fmt.Sprintf("a number from %d to %d", low, high), func(w word) bool {
		var err error
		n, err = strconv.Atoi(w.text)
		return !w.quoted && err == nil && low <= n && n <= high
	})
	return n
}

// duration takes a time from zero to a day.
func (p *parser) duration() time.Duration {
	var d time.Duration
	p.take("a time such as 5ms", func(w word) bool {
		var err error
		d, err = time.ParseDuration(w.text)
		return !w.quoted && err == nil && 0 <= d && d <= maxTime
	})
	return d
}

// text takes a text in quotes.
func (p *parser) text() string {
	return p.take("a text in quotes", func(w word) bool { return w.quoted })
}

// payload takes a text in quotes or a number of bytes.
func (p *parser) payload() payload {
	if p.more() && p.words[0].quoted {
		return payload{text: p.text()}
	}
	n := 0
	p.take("a number of bytes or a text in quotes", func(w word) bool {
		var err error
		n, err = strconv.Atoi(w.text)
		return err == nil && 0 <= n && n <= maxBytes
	})
	return payload{n: n}
}

// events are the events that wait and on take.
func events() []string {
	return []string{
		"built", "made", "data", "bytes", "readlost", "writelost", "lost", "dialled", "failed",
		"paused", "resumed", "stopped", "finished", "freed",
	}
}

// when takes an event.
func (p *parser) when() when {
	switch event := p.choice(events()...); event {
	case "data":
		return when{"bytes", 1}
	case "bytes":
		return when{"bytes", p.number(1, maxBytes)}
	default:
		return when{event, 0}
	}
}

// options takes all words up to the end of the line.
func (p *parser) options(allowed ...string) (o options) {
	for p.more() {
		option := ""
		p.take("an option: "+strings.Join(allowed, ", "), func(w word) bool {
			var value string
			option, value, _ = strings.Cut(w.text, "=")
			if w.quoted || !slices.Contains(allowed, option) {
				return false
			}
			if option == "timeout" {
				var err error
				o.timeout, err = time.ParseDuration(value)
				return err == nil && 0 < o.timeout && o.timeout <= maxTime
			}
			return o.set(option, value)
		})
	}
	return o
}

// set sets an option. It returns false if the value is not valid.
func (o *options) set(option, value string) bool {
	flags := map[string]*bool{"half": &o.half, "echo": &o.echo, "refuse": &o.refuse}
	if f := flags[option]; f != nil {
		*f = true
		return value == ""
	}
	n, err := strconv.Atoi(value)
	switch option {
	case "high":
		o.stream.HighWater = n
	case "low":
		o.stream.LowWater = n
	case "max":
		o.stream.MaxBuffered = n
	}
	return err == nil && 0 <= n && n <= maxBytes
}
