package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// refusal is why a request does not become a WebSocket, as an answer of HTTP.
type refusal struct {
	status int
	text   string
}

// Error is the text.
func (e *refusal) Error() string { return e.text }

// handshake checks a request, and returns the head of the answer that makes it a WebSocket.
func (s *Server) handshake(q *http.Request) (answer string, refused *refusal) {
	key := q.Header.Get("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	switch {
	case q.ProtoMajor != 1 || q.ProtoMinor < 1:
		return "", &refusal{http.StatusHTTPVersionNotSupported, "a WebSocket begins with a request of HTTP/1.1, not " + q.Proto}
	case q.Method != http.MethodGet:
		return "", &refusal{http.StatusMethodNotAllowed, "a WebSocket begins with GET, not " + q.Method}
	case !hasToken(q.Header, "Connection", "upgrade") || !hasToken(q.Header, "Upgrade", "websocket"):
		return "", &refusal{http.StatusUpgradeRequired, "this is for WebSockets: the headers Connection and Upgrade do not ask for one"}
	case q.Header.Get("Sec-WebSocket-Version") != "13":
		return "", &refusal{http.StatusUpgradeRequired, "the header Sec-WebSocket-Version is not 13"}
	case err != nil || len(raw) != 16:
		return "", &refusal{http.StatusBadRequest, "the header Sec-WebSocket-Key is not 16 bytes in base64"}
	case q.ContentLength != 0:
		return "", &refusal{http.StatusBadRequest, "the request of a WebSocket has no body"}
	}
	if err := s.o.Check(q); err != nil {
		return "", &refusal{http.StatusForbidden, err.Error()}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, 4.2.2
	answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	for _, p := range s.o.Subprotocols {
		if has(q.Header, "Sec-WebSocket-Protocol", func(offered string) bool { return offered == p }) { // a client looks for its own spelling in the answer
			answer += "Sec-WebSocket-Protocol: " + p + "\r\n"
			break
		}
	}
	return answer + "\r\n", nil
}

// hasToken tells whether a header that is a list has a token, in any case.
func hasToken(h http.Header, name, token string) bool {
	return has(h, name, func(item string) bool { return strings.EqualFold(item, token) })
}

// has tells whether a header that is a list has an item that is wanted.
func has(h http.Header, name string, wanted func(item string) bool) bool {
	for _, list := range h.Values(name) {
		for item := range strings.SplitSeq(list, ",") {
			if wanted(strings.TrimSpace(item)) {
				return true
			}
		}
	}
	return false
}

// sameOrigin refuses pages of other sites. A program that is no browser sends no Origin.
func sameOrigin(q *http.Request) error {
	origin := q.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the header Origin names no site")
	case !strings.EqualFold(u.Host, q.Host):
		return fmt.Errorf("pages of %s may not use WebSockets of %s", u.Host, q.Host)
	}
	return nil
}
