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
// The grammar, which [Parse] implements and which knows nothing of the types:
//
//   - ':' ends a field. The first field is the type.
//   - The first '=' in a later field makes it keyword=value; other fields are
//     arguments by position. Both kinds may be mixed.
//   - '\' makes the next character an ordinary one. [Quote] writes it.
//   - A value that begins with '[' goes on to the next ']', which ends it;
//     ':' and '=' between them are ordinary characters. The brackets are part of
//     the value. A value that only happens to begin with '[' writes it as '\['.
//
// What a type takes is said by a struct: a field tagged
//
//	Port uint16 `ep:"port,0" help:"port number or service name"`
//
// is the Go API, the argument "port", the first by position, and its line in the
// help text. [Schemes] is a set of types. It is a value: package std makes one of
// the usual types, and a program may add its own.
package endpoint
