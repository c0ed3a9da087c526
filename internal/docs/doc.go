// Package docs checks what the documents say: every piece of Go in them stands, as
// it is, in a file that is compiled, and every link leads somewhere.
package docs
