// Package endpoint turns strings into places to listen or to connect.
//
// A description is a type and its arguments, separated by colons:
//
//	tcp:80
//	tcp:80:interface=127.0.0.1:nodelay=yes
//	tcp6:port=80:backlog=10
//	tcp:example.com:80:timeout=5
//	tcp:[::1]:80
//
// [Parse] implements the grammar, which knows nothing of the types:
//
//   - ':' ends a field. The first field is the type.
//   - The first '=' in a later field makes it keyword=value; other fields are
//     arguments by position. A description may mix both kinds.
//   - '\' makes the next character an ordinary one. [Quote] writes it.
//   - A value that begins with '[' ends with the next ']'. ':' and '=' between them
//     are ordinary characters. The brackets are part of the value. '\[' begins a
//     value that merely starts with '['.
//
// A struct says which arguments a type takes. A field such as
//
//	Port uint16 `ep:"port,0" help:"port number or service name"`
//
// is three things: a field of the Go API, the argument "port", which is the first by
// position, and a line of the help text. [Schemes] is a set of types. It is a value:
// package std makes one of the usual types, and a program may add its own.
package endpoint
