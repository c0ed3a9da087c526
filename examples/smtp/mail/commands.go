package mail

import (
	"strconv"
	"strings"
)

// command carries out one command.
func (x *session) command(line []byte) {
	verb, arg, _ := strings.Cut(string(line), " ")
	arg = strings.TrimSpace(arg)
	switch verb = strings.ToUpper(verb); verb {
	case "DATA":
		if x.data() {
			return // it has a time of its own
		}
	case "QUIT":
		x.reply("221 2.0.0 bye")
		x.T.Close()
		return
	case "STARTTLS":
		x.tls(arg)
	case "EHLO", "HELO":
		x.hello(verb, arg)
	case "MAIL":
		x.mail(arg)
	case "RCPT":
		x.rcpt(arg)
	case "RSET":
		x.reset()
		x.reply("250 2.0.0 ok")
	case "NOOP":
		x.reply("250 2.0.0 ok")
	case "VRFY":
		x.reply("252 2.1.5 send some mail and see")
	default:
		x.reply("500 5.5.1 unknown command")
	}
	x.next()
}

func (x *session) hello(verb, name string) {
	if name == "" {
		x.reply("501 5.5.4 a name is missing")
		return
	}
	x.helo = name
	x.reset()
	if verb == "HELO" {
		x.reply("250 " + x.server.Name)
		return
	}
	x.reply("250-" + x.server.Name)
	x.reply("250-PIPELINING")
	x.reply("250-8BITMIME")
	if x.server.TLS != nil && !x.secure {
		x.reply("250-STARTTLS")
	}
	x.reply("250-ENHANCEDSTATUSCODES")
	x.reply("250 SIZE " + strconv.Itoa(or(x.server.MaxMessage, 10<<20)))
}

func (x *session) tls(arg string) {
	switch {
	case x.server.TLS == nil || x.secure:
		x.reply("503 5.5.1 not now")
	case arg != "":
		x.reply("501 5.5.4 no arguments")
	default:
		x.startTLS()
	}
}

func (x *session) mail(arg string) {
	from, parameters, ok := path(arg, "FROM:")
	switch {
	case x.helo == "" || x.sender:
		x.reply("503 5.5.1 not now")
	case !ok:
		x.reply("501 5.1.7 MAIL FROM:<address>")
	default:
		for _, p := range strings.Fields(parameters) {
			name, value, _ := strings.Cut(strings.ToUpper(p), "=")
			switch n, err := strconv.Atoi(value); {
			case name == "BODY" && (value == "7BIT" || value == "8BITMIME"):
			case name != "SIZE" || err != nil || n < 0:
				x.reply("555 5.5.4 unknown parameter")
				return
			case n > or(x.server.MaxMessage, 10<<20):
				x.reply("552 5.3.4 the message is too long")
				return
			}
		}
		x.sender, x.message.From = true, from
		x.reply("250 2.1.0 ok")
	}
}

func (x *session) rcpt(arg string) {
	to, parameters, ok := path(arg, "TO:")
	switch {
	case !x.sender:
		x.reply("503 5.5.1 MAIL first")
	case !ok || to == "":
		x.reply("501 5.1.3 RCPT TO:<address>")
	case parameters != "":
		x.reply("555 5.5.4 unknown parameter")
	case len(x.message.To) >= or(x.server.MaxRecipients, 100):
		x.reply("452 4.5.3 too many recipients")
	default:
		x.message.To = append(x.message.To, to)
		x.reply("250 2.1.5 ok")
	}
}

func (x *session) data() bool {
	if len(x.message.To) == 0 {
		x.reply("503 5.5.1 RCPT first")
		return false
	}
	x.startData()
	return true
}

// path is the address in "FROM:<address> parameters".
func path(arg, prefix string) (address, parameters string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(arg[len(prefix):]), "<")
	if !ok {
		return "", "", false
	}
	address, parameters, ok = strings.Cut(rest, ">")
	ok = ok && !strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c == '<' })
	return address, strings.TrimSpace(parameters), ok
}
