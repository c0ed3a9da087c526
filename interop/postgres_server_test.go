package interop

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/whorl-go/whorl/testworld"
)

// The queries that postgres knows.
const (
	echoQuery   = "select $1::bytea"
	seriesQuery = "select n from generate_series(1, $1::int) n"
	divideQuery = "select 1 / $1::int"
	sleepQuery  = "select pg_sleep($1::int)"
)

// Types of PostgreSQL.
const (
	typeBytes = 17
	typeInt   = 23
)

// typeOf is the type of the parameter and the column of a query.
func typeOf(query string) uint32 {
	if query == echoQuery {
		return typeBytes
	}
	return typeInt
}

// postgres is a server on netconn that knows a few queries of PostgreSQL, so that drivers can be tested without that.
type postgres struct {
	testing.TB
	tls     *tls.Config
	begun   atomic.Uint32 // connections, whose number is their secret key
	waiting atomic.Int32  // queries that are not cancelled yet

	mu        sync.Mutex
	cancelled map[string]chan struct{} // by the secret key of a connection; closed when its query is cancelled, which may be before it has come
}

// servePostgres starts the server, which has ended when the test has.
func servePostgres(s *site, cfg *tls.Config) net.Addr {
	s.Helper()
	x := &postgres{TB: s, tls: cfg, cancelled: map[string]chan struct{}{}}
	a := s.accept(x.serve)
	s.Cleanup(func() { // before it listens no more: a driver cancels a query when it has told the program that it has failed
		for x.waiting.Load() > 0 {
			time.Sleep(time.Millisecond)
		}
	})
	return a
}

// serve serves a connection, with or without TLS.
func (x *postgres) serve(c net.Conn) {
	for {
		b := pgproto3.NewBackend(c, c)
		m, err := b.ReceiveStartupMessage()
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if _, err = c.Write([]byte{'S'}); err == nil {
				c = tls.Server(c, x.tls)
			}
		case *pgproto3.StartupMessage:
			key := binary.BigEndian.AppendUint32(nil, x.begun.Add(1))
			b.Send(&pgproto3.AuthenticationOk{})
			b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: key})
			s := session{server: x, b: b, key: string(key), parsed: map[string]string{}}
			if err := s.serve(); err != nil && err != io.ErrUnexpectedEOF {
				x.Errorf("a connection of PostgreSQL ends with %v", err)
			}
			return
		case *pgproto3.CancelRequest:
			close(x.cancelledOf(string(m.SecretKey))) // a client does so once
			return
		}
		if err != nil {
			x.Errorf("a connection of PostgreSQL begins with %v", err)
			return
		}
	}
}

// await returns when the query of a connection is cancelled.
func (x *postgres) await(key string) {
	x.waiting.Add(1)
	defer x.waiting.Add(-1)
	select {
	case <-x.cancelledOf(key):
	case <-time.After(testworld.Limit):
		x.Error("nobody cancels the query")
	}
}

func (x *postgres) cancelledOf(key string) chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancelled[key] == nil {
		x.cancelled[key] = make(chan struct{})
	}
	return x.cancelled[key]
}

// session is a connection that has begun.
type session struct {
	server    *postgres
	b         *pgproto3.Backend
	key       string
	parsed    map[string]string // queries by name
	query     string            // is bound
	parameter []byte            // of query
	failed    bool              // what comes before the next Sync is left out
}

// serve answers until the client ends.
func (s *session) serve() error {
	for s.ready(); ; {
		if err := s.b.Flush(); err != nil {
			return err
		}
		m, err := s.b.Receive()
		for err == nil && s.answer(m) {
			m, err = s.b.Receive()
		}
		if _, ended := m.(*pgproto3.Terminate); ended || err != nil {
			return err
		}
	}
}

func (s *session) ready() {
	s.failed = false
	s.b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// answer answers a message. It tells whether more come before the client waits.
func (s *session) answer(m pgproto3.FrontendMessage) (more bool) {
	switch m := m.(type) {
	case *pgproto3.Terminate:
		return false
	case *pgproto3.Query: // a ping
		s.b.Send(&pgproto3.EmptyQueryResponse{})
		s.ready()
		return false
	case *pgproto3.Sync:
		s.ready()
		return false
	case *pgproto3.Parse:
		s.parsed[m.Name] = m.Query
		s.b.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		of := typeOf(s.parsed[m.Name])
		s.b.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{of}})
		s.b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: of}}})
	case *pgproto3.Bind:
		s.query, s.parameter = s.parsed[m.PreparedStatement], bytes.Clone(m.Parameters[0])
		s.b.Send(&pgproto3.BindComplete{})
	case *pgproto3.Close:
		s.b.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Execute:
		if !s.failed {
			s.execute()
		}
	}
	return true
}

// execute sends the rows of the query that is bound. Parameters and columns are binary.
func (s *session) execute() {
	switch s.query {
	case echoQuery:
		s.b.Send(&pgproto3.DataRow{Values: [][]byte{s.parameter}})
	case seriesQuery:
		for i := range binary.BigEndian.Uint32(s.parameter) {
			s.b.Send(&pgproto3.DataRow{Values: [][]byte{binary.BigEndian.AppendUint32(nil, i+1)}})
		}
	case divideQuery:
		s.fail("22012")
		return
	case sleepQuery:
		s.server.await(s.key)
		s.fail("57014")
		return
	}
	s.b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
}

func (s *session) fail(code string) {
	s.failed = true
	s.b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: code})
}
