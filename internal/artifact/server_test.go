package artifact

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// start serves the store on loopback until the test ends, and returns the base
// URL.
func start(t *testing.T, s *Store) string {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	server := &Server{Store: s, Addr: "127.0.0.1:0"}
	addr, err := server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, ignore)
	})
	return "http://" + addr.String() + "/"
}

// ask makes a request that follows no redirect, and reads the answer.
func ask(t *testing.T, method, url string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func TestServerServesArchives(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", incompressible(200_000))))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	url := start(t, s) + published.Path
	etag := `"` + published.Digest + `"`
	size := fmt.Sprint(len(data))
	cases := map[string]struct {
		method string
		ask    http.Header
		status int
		body   []byte
		header map[string]string
	}{
		"GET":  {"GET", nil, 200, data, map[string]string{"Content-Length": size, "Accept-Ranges": "bytes"}},
		"HEAD": {"HEAD", nil, 200, nil, map[string]string{"Content-Length": size, "Accept-Ranges": "bytes"}},
		"range": {"GET", http.Header{"Range": {"bytes=10-19"}}, 206, data[10:20],
			map[string]string{"Content-Range": "bytes 10-19/" + size, "Content-Length": "10"}},
		"last bytes": {"GET", http.Header{"Range": {"bytes=-8"}}, 206, data[len(data)-8:],
			map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", len(data)-8, len(data)-1, len(data))}},
		"range beyond the end": {"GET", http.Header{"Range": {"bytes=" + size + "-"}}, 416, nil,
			map[string]string{"Content-Range": "bytes */" + size}},
		"range if it is the same":      {"GET", http.Header{"Range": {"bytes=0-0"}, "If-Range": {etag}}, 206, data[:1], nil},
		"range if it is not":           {"GET", http.Header{"Range": {"bytes=0-0"}, "If-Range": {`"other"`}}, 200, data, nil},
		"held already":                 {"GET", http.Header{"If-None-Match": {etag}}, 304, nil, map[string]string{"ETag": etag}},
		"held already, HEAD":           {"HEAD", http.Header{"If-None-Match": {etag}}, 304, nil, nil},
		"another held":                 {"GET", http.Header{"If-None-Match": {`"sha256:0"`}}, 200, data, nil},
		"not the one that is expected": {"GET", http.Header{"If-Match": {`"sha256:0"`}}, 412, nil, nil},
		"no modification time counts":  {"GET", http.Header{"If-Modified-Since": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, 200, data, map[string]string{"Last-Modified": ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			response, body := ask(t, c.method, url, c.ask)
			if response.StatusCode != c.status {
				t.Fatalf("expected %d, found %s", c.status, response.Status)
			}
			want := map[string]string{"X-Content-Type-Options": "nosniff"}
			if c.status != 416 { // net/http clears it from an error.
				want["Cache-Control"] = "no-cache"
			}
			if c.status == 200 || c.status == 206 {
				want["ETag"] = etag
				want["Content-Type"] = "application/gzip"
			}
			for key, value := range c.header {
				want[key] = value
			}
			found := map[string]string{}
			for key := range want {
				found[key] = response.Header.Get(key)
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if c.body != nil && !bytes.Equal(c.body, body) || c.method == "HEAD" && len(body) > 0 {
				t.Errorf("expected %d bytes, found %d or others", len(c.body), len(body))
			}
		})
	}
}

func TestServerForgetsWhatIsWithdrawn(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	url := start(t, s) + published.Path
	if response, _ := ask(t, "GET", url, nil); response.StatusCode != http.StatusOK {
		t.Fatalf("found %s", response.Status)
	}
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	for _, header := range []http.Header{nil, {"If-None-Match": {`"` + published.Digest + `"`}}} {
		if response, _ := ask(t, "GET", url, header); response.StatusCode != http.StatusNotFound {
			t.Errorf("expected 404, found %s", response.Status)
		}
	}
}

func TestWithdrawDuringADownload(t *testing.T) {
	s := newStore(t, Options{})
	published, file := publish(t, s, owner, layer(regular("a", incompressible(512<<10))))
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// No buffer between the two hides that the download is under way.
	listener := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- (&Server{Store: s, Listener: listener}).Start(ctx) }()
	conn := listener.dial()
	defer conn.Close()
	body := download(t, conn, bufio.NewReader(conn), "GET /"+published.Path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(want, got) {
		t.Errorf("expected the rest of the file, found %d of %d bytes, %v", len(got), len(want), err)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServerCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := &Server{Store: newStore(t, Options{}), Addr: taken.Addr().String(), ErrorLog: log.New(io.Discard, "", 0)}
	if err := server.Start(t.Context()); err == nil {
		t.Error("expected an error for an address that is taken")
	}
}
