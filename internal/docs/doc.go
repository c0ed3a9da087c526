// Package docs checks the documents. Every piece of Go in them must be part of a file
// that is compiled, and every link must lead somewhere.
package docs
