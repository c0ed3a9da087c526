package interop

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type message = wrapperspb.BytesValue

// streamOf is s with the type of its messages.
func streamOf(s grpc.ServerStream) grpc.BidiStreamingServer[message, message] {
	return &grpc.GenericServerStream[message, message]{ServerStream: s}
}

// echoer is the service of the tests.
type echoer struct{ begun, left atomic.Int32 } // calls of Hang

// once answers a call.
func once(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	m := new(message)
	return m, decode(m)
}

// hang answers when nobody waits for it any more.
func hang(e any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	e.(*echoer).begun.Add(1)
	<-ctx.Done()
	e.(*echoer).left.Add(1)
	return nil, ctx.Err()
}

// both sends every message back.
func both(_ any, s grpc.ServerStream) error {
	for x := streamOf(s); ; {
		m, err := x.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = x.Send(m)
		}
		if err != nil {
			return err
		}
	}
}

// up answers when the client's last message has come, with all of them.
func up(_ any, s grpc.ServerStream) error {
	x, all := streamOf(s), []byte{}
	for {
		m, err := x.Recv()
		if err == io.EOF {
			return x.Send(wrapperspb.Bytes(all))
		}
		if err != nil {
			return err
		}
		all = append(all, m.Value...)
	}
}

// down sends each byte of a message as a message.
func down(_ any, s grpc.ServerStream) error {
	x := streamOf(s)
	m, err := x.Recv()
	for _, b := range m.GetValue() {
		if err == nil {
			err = x.Send(wrapperspb.Bytes([]byte{b}))
		}
	}
	return err
}

var service = grpc.ServiceDesc{
	ServiceName: "echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Once", Handler: once}, {MethodName: "Hang", Handler: hang}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Both", Handler: both, ServerStreams: true, ClientStreams: true},
		{StreamName: "Up", Handler: up, ClientStreams: true},
		{StreamName: "Down", Handler: down, ServerStreams: true},
	},
}

// call is a stream of the client for a method of service.Streams.
func call(ctx context.Context, c *grpc.ClientConn, i int) (*grpc.GenericClientStream[message, message], error) {
	s, err := c.NewStream(ctx, &service.Streams[i], "/echo/"+service.Streams[i].StreamName)
	return &grpc.GenericClientStream[message, message]{ClientStream: s}, err
}

// remote is a client of gRPC and its server, both on netconn.
type remote struct {
	*grpc.ClientConn
	echoer
	srv    *grpc.Server
	served chan struct{}
}

// layering says where gRPC has TLS.
type layering int

const (
	inClear  layering = iota
	above             // of crypto/tls, in gRPC's own credentials
	below             // of tlsio, on the loop
	numLayer          // how many there are
)

func (l layering) String() string { return [...]string{"clear", "tls above", "tls below"}[l] }

// serveGRPC starts a server and a client of it.
func serveGRPC(t *testing.T, s *site, how layering) *remote {
	t.Helper()
	x := &remote{served: make(chan struct{})}
	server, client := configs(t, "h2")
	var listen netconn.ListenConfig
	var serve []grpc.ServerOption
	creds := insecure.NewCredentials()
	switch how {
	case above:
		serve = append(serve, grpc.Creds(credentials.NewTLS(server)))
		creds = credentials.NewTLS(client)
	case below:
		listen.Over, s.d.Over = overServer(server), overClient(client)
	}
	l := s.listen(listen)
	x.srv = grpc.NewServer(serve...)
	x.srv.RegisterService(&service, &x.echoer)
	go func() {
		defer close(x.served)
		if err := x.srv.Serve(l); err != nil {
			t.Errorf("Serve is %v", err)
		}
	}()
	c, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithContextDialer(s.dialTCP), grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	x.ClientConn = c
	t.Cleanup(func() {
		_ = c.Close()
		x.srv.Stop()
		ends(t, "Serve", x.served)
	})
	return x
}

// eachRemote runs a test on every kernel, in clear and with TLS above and below gRPC.
func eachRemote(t *testing.T, test func(t *testing.T, x *remote)) {
	for how := range numLayer {
		t.Run(how.String(), func(t *testing.T) {
			each(t, testworld.Worlds(), func(t *testing.T, s *site) { test(t, serveGRPC(t, s, how)) })
		})
	}
}

// NETCONN-21: calls of gRPC have their answers, from many goroutines and of all sizes.
func TestGRPCUnary(t *testing.T) {
	eachRemote(t, func(t *testing.T, x *remote) {
		ctx, body := limited(t), pattern(1<<20)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for _, size := range []int{0, 1, 1000, 70_000, len(body)} {
					in, out := wrapperspb.Bytes(body[:size]), new(message)
					if err := x.Invoke(ctx, "/echo/Once", in, out); err != nil || !bytes.Equal(in.Value, out.Value) {
						t.Errorf("%d bytes of %d came back, and %v", len(out.Value), size, err)
					}
				}
			})
		}
		all.Wait()
	})
}

// NETCONN-21: streams of gRPC go in both directions, at the same time too, and end.
func TestGRPCStreams(t *testing.T) {
	eachRemote(t, func(t *testing.T, x *remote) {
		ctx, want := limited(t), pattern(1000)
		up, err := call(ctx, x.ClientConn, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range want {
			_ = up.Send(wrapperspb.Bytes([]byte{b}))
		}
		if m, err := up.CloseAndRecv(); err != nil || !bytes.Equal(m.Value, want) {
			t.Errorf("%d bytes came up, and %v", len(m.GetValue()), err)
		}
		down, err := call(ctx, x.ClientConn, 2)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = down.Send(wrapperspb.Bytes(want)), down.CloseSend()
		receive(t, down, want)
		// More than the windows of HTTP/2 hold is under way in both directions.
		var all sync.WaitGroup
		piece := pattern(64 << 10)
		for range 2 {
			all.Go(func() {
				both, err := call(ctx, x.ClientConn, 0)
				if err != nil {
					t.Error(err)
					return
				}
				go func() {
					for range 16 {
						_ = both.Send(wrapperspb.Bytes(piece))
					}
					_ = both.CloseSend()
				}()
				receive(t, both, bytes.Repeat(piece, 16))
			})
		}
		all.Wait()
	})
}

// receive reads s to its end.
func receive(t *testing.T, s *grpc.GenericClientStream[message, message], want []byte) {
	t.Helper()
	var got []byte
	for {
		m, err := s.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Error(err)
			break
		}
		got = append(got, m.Value...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came of %d", len(got), len(want))
	}
}

// NETCONN-21: a call of gRPC that nobody waits for any more ends on both sides, and the connection goes on.
func TestGRPCCancel(t *testing.T) {
	eachRemote(t, func(t *testing.T, x *remote) {
		ctx := limited(t)
		for want, wait := range map[codes.Code]func() (context.Context, context.CancelFunc){
			codes.DeadlineExceeded: func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, 50*time.Millisecond) },
			codes.Canceled: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(50*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			// On a busy machine a call may end before the server has heard of it.
			for before := x.begun.Load(); x.begun.Load() == before; {
				if err := x.Invoke(ctx, "/echo/Once", new(message), new(message)); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := wait()
				if err := x.Invoke(ctx, "/echo/Hang", new(message), new(message)); status.Code(err) != want {
					t.Errorf("the error is %v, not %v", err, want)
				}
				cancel()
			}
			for x.left.Load() != x.begun.Load() {
				if ctx.Err() != nil {
					t.Fatal("the server does not hear of it")
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
}

// NETCONN-21: GracefulStop of gRPC lets streams end and takes no new calls.
func TestGRPCGracefulStop(t *testing.T) {
	eachRemote(t, func(t *testing.T, x *remote) {
		ctx := limited(t)
		both, err := call(ctx, x.ClientConn, 0)
		if err != nil {
			t.Fatal(err)
		}
		echo := func() {
			t.Helper()
			if err := both.Send(wrapperspb.Bytes([]byte("a"))); err != nil {
				t.Fatal(err)
			}
			if m, err := both.Recv(); err != nil || string(m.Value) != "a" {
				t.Fatalf("%v and %v came", m, err)
			}
		}
		echo()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			x.srv.GracefulStop()
		}()
		for err = nil; err == nil; { // until the client hears of it
			err = x.Invoke(ctx, "/echo/Once", new(message), new(message))
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("a new call is %v", err)
		}
		echo()
		_ = both.CloseSend()
		if _, err := both.Recv(); err != io.EOF {
			t.Errorf("the stream ends with %v", err)
		}
		ends(t, "GracefulStop", stopped)
	})
}
