package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received is a collector on loopback, and what it was sent.
type received struct {
	mu       sync.Mutex
	requests []*http.Request
	sent     []*collector.ExportTraceServiceRequest
}

func (c *received) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	message := &collector.ExportTraceServiceRequest{}
	if err != nil || proto.Unmarshal(body, message) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.sent = append(c.requests, r), append(c.sent, message)
}

func endpoint(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := ParseEndpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func provider(t *testing.T, text string, ratio float64, log logr.Logger) *Provider {
	t.Helper()
	p, err := New(t.Context(), Options{Endpoint: endpoint(t, text), SamplingRatio: ratio, Service: "a-service", Version: "v1", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func spans(p *Provider, n int) {
	for range n {
		_, span := p.Tracer().Start(context.Background(), "a span", trace.WithNewRoot())
		span.End()
	}
}

// What was traced is with the collector when Close has returned, at the path
// where collectors take it.
func TestTracesAreFlushed(t *testing.T) {
	for name, path := range map[string]string{"base": "", "slash": "/", "below": "/otlp", "whole": "/v1/traces"} {
		t.Run(name, func(t *testing.T) {
			c := &received{}
			server := httptest.NewServer(c)
			defer server.Close()
			p := provider(t, server.URL+path, 1, logr.Discard())
			spans(p, 3)
			p.Close()
			want := map[string]string{"below": "/otlp/v1/traces"}[name]
			if want == "" {
				want = "/v1/traces"
			}
			if len(c.sent) != 1 || c.requests[0].URL.Path != want || c.requests[0].Method != http.MethodPost {
				t.Fatalf("expected one POST of %s, found %v", want, c.requests)
			}
			resource := c.sent[0].GetResourceSpans()[0]
			if n := len(resource.GetScopeSpans()[0].GetSpans()); n != 3 {
				t.Errorf("expected 3 spans, found %d", n)
			}
			attributes := resource.GetResource().String()
			for _, text := range []string{"service.name", "a-service", "service.version", "v1"} {
				if !strings.Contains(attributes, text) {
					t.Errorf("expected %q in %s", text, attributes)
				}
			}
		})
	}
}

// A part of all traces is sent, about as large as asked for.
func TestTracesAreSampled(t *testing.T) {
	c := &received{}
	server := httptest.NewServer(c)
	defer server.Close()
	p := provider(t, server.URL, 0.25, logr.Discard())
	sampled := 0
	for range 2000 {
		_, span := p.Tracer().Start(context.Background(), "a span", trace.WithNewRoot())
		if span.SpanContext().IsSampled() {
			sampled++
		}
		span.End()
	}
	p.Close()
	if sampled < 350 || sampled > 650 {
		t.Errorf("expected about 500 of 2000, found %d", sampled)
	}
}

// A collector that hangs, refuses, or is not there delays nobody who traces,
// ends with Close in its time, and is told of once, without what it answers.
func TestCollectorsThatFail(t *testing.T) {
	hang := make(chan struct{})
	const secret = "what the collector answers"
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		closed  bool
	}{
		"hangs":    {handler: func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-hang }},
		"refuses":  {handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusForbidden) }},
		"is busy":  {handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusServiceUnavailable) }},
		"is gone":  {closed: true},
		"lies":     {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, secret) }},
		"accepts":  {handler: func(http.ResponseWriter, *http.Request) {}},
		"confuses": {handler: func(w http.ResponseWriter, _ *http.Request) { partly(w, secret) }},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			address := server.URL
			if tt.closed {
				server.Close()
			}
			var mu sync.Mutex
			var logged []string
			p := provider(t, address, 1, funcr.New(func(prefix, args string) {
				mu.Lock()
				defer mu.Unlock()
				logged = append(logged, prefix+args)
			}, funcr.Options{}))
			began := time.Now()
			spans(p, 5*queuedSpans)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("expected nobody to wait, found %s", took)
			}
			began = time.Now()
			p.Close()
			if took := time.Since(began); took > flushTimeout+3*time.Second {
				t.Errorf("expected Close to end within %s, found %s", flushTimeout, took)
			}
			if name == "hangs" {
				close(hang)
			}
			server.Close()
			mu.Lock()
			defer mu.Unlock()
			if len(logged) > 1 || strings.Contains(strings.Join(logged, "\n"), secret) {
				t.Errorf("expected one line without what was answered, found %q", logged)
			}
			if name == "refuses" && len(logged) != 1 {
				t.Errorf("expected a line, found %q", logged)
			}
		})
	}
}

// partly answers that some spans were refused.
func partly(w http.ResponseWriter, why string) {
	body, err := proto.Marshal(&collector.ExportTraceServiceResponse{
		PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: why},
	})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"http://collector:4318": "", "https://otlp.example.com/a/b": "", "http://127.0.0.1:4318/v1/traces": "",
		"":                              "found no such URL",
		"collector:4318":                "found no such URL",
		"grpc://collector:4317":         `found the scheme "grpc"`,
		"http://":                       "found no such URL",
		"http://:4318":                  "found no such URL",
		"http://user:hunter2@collector": "found a user",
		"http://collector?key=hunter2":  "found a query",
		"http://collector#hunter2":      "found a query or fragment",
		"http://collector:hunter2":      "found no such URL",
	} {
		_, err := ParseEndpoint(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", text, want, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats it: %v", text, err)
		}
	}
}

func TestParseRatio(t *testing.T) {
	for ratio, ok := range map[float64]bool{1: true, 0.001: true, 0: false, -1: false, 1.001: false, math.Inf(1): false} {
		if err := ParseRatio(ratio); (err == nil) != ok {
			t.Errorf("%g: found %v", ratio, err)
		}
	}
	if ParseRatio(math.NaN()) == nil {
		t.Error("expected NaN to be refused")
	}
}

// An address at which nothing answers, and nothing refuses, is as one that hangs.
func TestCloseOfASilentCollector(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // Nobody accepts.
	p := provider(t, "http://"+listener.Addr().String(), 1, logr.Discard())
	spans(p, 1)
	began := time.Now()
	p.Close()
	if took := time.Since(began); took > flushTimeout+3*time.Second {
		t.Errorf("expected Close to end within %s, found %s", flushTimeout, took)
	}
}
