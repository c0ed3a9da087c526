package kv

import "bytes"

// Parser finds the commands in what a client sends. Its Find is that of a frame.Split. It
// remembers how far it has looked and where the arguments are, so that no byte is looked at twice.
// The zero Parser has the default limits. Each client has its own.
type Parser struct {
	// MaxArgs is the most arguments of a command, its name included. MaxBulk is the most bytes of
	// one argument, and MaxRequest of a whole command. Zero: 1024, 1 MiB and 8 MiB.
	MaxArgs, MaxBulk, MaxRequest int

	begun bool // a command has come in part
	at    int  // its bytes up to here are whole arguments, or a line without its end
	left  int  // arguments behind at
	args  []extent
}

// extent is where an argument is in a command.
type extent struct{ from, to int32 }

const (
	maxBulk  = 1 << 20
	maxLine  = 16 << 10 // bytes of a command on a line
	keptArgs = 16       // whose places stay remembered after a command
)

// protocolError is what a client is told before its connection is closed.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

const (
	errCount  = protocolError("invalid multibulk length")
	errLength = protocolError("invalid bulk length")
	errDollar = protocolError("expected '$'")
	errEnd    = protocolError("expected the end of an argument")
	errLine   = protocolError("line too long")
)

// Find returns the length of the command at the beginning of b, or 0 if it is not whole.
func (p *Parser) Find(b []byte) (int, error) {
	n, err := 0, error(nil)
	if b[0] == '*' {
		n, err = p.array(b)
	} else {
		n, err = p.line(b)
	}
	if p.begun = n == 0; !p.begun {
		p.at, p.left = 0, 0
	}
	return n, err
}

// array is Find for a command as programs send it: the number of its arguments, and then each
// with its length.
func (p *Parser) array(b []byte) (int, error) {
	if p.at == 0 {
		n, next, ok := number(b, 1)
		switch {
		case !ok || n > or(p.MaxArgs, 1024):
			return 0, errCount
		case next == 0:
			return 0, nil
		}
		p.at, p.left, p.args = next, max(n, 0), p.args[:0]
	}
	longest, most := or(p.MaxBulk, maxBulk), p.most()
	for ; p.left > 0; p.left-- {
		if p.at == len(b) {
			return 0, nil
		}
		if b[p.at] != '$' {
			return 0, errDollar
		}
		n, next, ok := number(b, p.at+1)
		if !ok || n > longest || next > 0 && (n < 0 || next+n+2 > most) {
			return 0, errLength
		}
		end := next + n
		if next == 0 || len(b) < end+2 {
			return 0, nil
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return 0, errEnd
		}
		p.args = append(p.args, extent{int32(next), int32(end)})
		p.at = end + 2
	}
	return p.at, nil
}

// line is Find for a command as people type it.
func (p *Parser) line(b []byte) (int, error) {
	if i := bytes.IndexByte(b[p.at:], '\n'); i >= 0 && p.at+i < maxLine {
		return p.at + i + 1, nil
	}
	if p.at = len(b); p.at >= maxLine {
		return 0, errLine
	}
	return 0, nil
}

// most is the most bytes of a command.
func (p *Parser) most() int { return or(p.MaxRequest, 8<<20) }

// number reads the number at b[at:], which ends with "\r\n". next is the index behind that, and 0
// if it has not come. ok is false if there is no number, or one of more than ten digits.
func number(b []byte, at int) (n, next int, ok bool) {
	// Most numbers have one digit or two.
	if at+3 < len(b) && b[at]-'0' <= 9 {
		switch one, two := int(b[at]-'0'), int(b[at+1]-'0'); {
		case b[at+1] == '\r' && b[at+2] == '\n':
			return one, at + 3, true
		case b[at+1]-'0' <= 9 && b[at+2] == '\r' && b[at+3] == '\n':
			return 10*one + two, at + 4, true
		}
	}
	sign := 1
	if at < len(b) && b[at] == '-' {
		sign, at = -1, at+1
	}
	for from := at; at < len(b); at++ {
		switch c := b[at]; {
		case c >= '0' && c <= '9' && at < from+10:
			n = 10*n + int(c-'0')
		case c != '\r' || at == from:
			return 0, 0, false
		case at+1 == len(b):
			return sign * n, 0, true
		default:
			return sign * n, at + 2, b[at+1] == '\n'
		}
	}
	return sign * n, 0, true
}

// AppendArgs appends the arguments of the command that Find has found last to args. They are parts of
// command. None are appended for an empty command, which is none.
func (p *Parser) AppendArgs(args [][]byte, command []byte) [][]byte {
	if command[0] != '*' {
		for word := range bytes.FieldsSeq(command) {
			args = append(args, word)
		}
		return args
	}
	for _, a := range p.args {
		args = append(args, command[a.from:a.to:a.to])
	}
	if cap(p.args) > keptArgs {
		p.args = nil // a client that rests shall have little
	}
	return args
}
