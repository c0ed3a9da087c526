package interop

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/whorl-go/whorl/testworld"
)

// realPostgres names a variable with the connection string of a PostgreSQL, as in "host=/run/postgresql user=me". If it is set, the tests
// talk to that, and otherwise to a small server of their own.
const realPostgres = "WHORL_POSTGRES"

// openPostgres returns a database on netconn.
func openPostgres(t *testing.T, s *site, text string, change func(*pgx.ConnConfig)) *sql.DB {
	t.Helper()
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	change(cfg)
	cfg.DialFunc = s.d.DialContext
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// eachDatabase runs a test on every kernel, in clear and with TLS.
func eachDatabase(t *testing.T, test func(t *testing.T, db *sql.DB)) {
	if text := os.Getenv(realPostgres); text != "" {
		each(t, testworld.Native(), func(t *testing.T, s *site) { test(t, openPostgres(t, s, text, func(*pgx.ConnConfig) {})) })
		return
	}
	server, client := configs(t)
	for name, secret := range map[string]bool{"clear": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			each(t, testworld.Worlds(), func(t *testing.T, s *site) {
				a := servePostgres(s, server)
				test(t, openPostgres(t, s, "postgres://"+a.String()+"?sslmode=disable", func(cfg *pgx.ConnConfig) {
					if secret {
						cfg.TLSConfig = client
					}
				}))
			})
		})
	}
}

// NETCONN-21: database/sql with pgx has rows of all sizes and in any number, and errors, on many connections at a time.
func TestPostgres(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		ctx, body := limited(t), pattern(1<<20)
		if err := db.PingContext(ctx); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for _, size := range []int{0, 1, 70_000, len(body)} {
					var got []byte
					if err := db.QueryRowContext(ctx, echoQuery, body[:size]).Scan(&got); err != nil || !bytes.Equal(got, body[:size]) {
						t.Errorf("%d bytes of %d came back, and %v", len(got), size, err)
					}
				}
				countRows(t, ctx, db, 10_000)
				var failed *pgconn.PgError
				if err := db.QueryRowContext(ctx, divideQuery, 0).Scan(new(int)); !errors.As(err, &failed) || failed.Code != "22012" {
					t.Errorf("a division by zero is %v", err)
				}
				countRows(t, ctx, db, 1)
			})
		}
		all.Wait()
	})
}

// countRows reads n rows.
func countRows(t *testing.T, ctx context.Context, db *sql.DB, n int) {
	rows, err := db.QueryContext(ctx, seriesQuery, n)
	if err != nil {
		t.Error(err)
		return
	}
	defer rows.Close()
	i, got := 0, 0
	for ; rows.Next(); i++ {
		if err := rows.Scan(&got); err != nil || got != i+1 {
			t.Errorf("row %d is %d, and %v", i+1, got, err)
		}
	}
	if i != n || rows.Err() != nil {
		t.Errorf("%d rows of %d came, and %v", i, n, rows.Err())
	}
}

// NETCONN-21: a query whose context ends fails at once and is cancelled at the server, and the next one has another connection.
func TestPostgresCancel(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *sql.DB) {
		all := limited(t)
		countRows(t, all, db, 1) // the context is not to end while it connects
		ctx, cancel := context.WithTimeout(all, 100*time.Millisecond)
		defer cancel()
		if err := db.QueryRowContext(ctx, sleepQuery, 60).Scan(new(any)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the query is %v", err)
		}
		countRows(t, all, db, 1)
	})
}
