package registry

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Kind is what a request asks for.
type Kind string

// The kinds of requests. What is sent elsewhere by a redirect stays what it was.
const (
	// KindPing asks a registry how to authenticate.
	KindPing Kind = "ping"
	// KindToken asks a token server.
	KindToken     Kind = "token"
	KindTags      Kind = "tags"
	KindManifest  Kind = "manifest"
	KindReferrers Kind = "referrers"
	KindBlob      Kind = "blob"
)

// Exchange is one request that went out, and its answer's header.
type Exchange struct {
	// Host is the registry that a repository names, host and port, whoever was
	// asked on its behalf: its token server, or a store of blobs that it sends to.
	Host   string
	Kind   Kind
	Method string
	// Code is the HTTP status, which whoever answers chooses; 0 where nobody
	// did.
	Code int
	// Began is when the request was begun, and Took how long its answer's header,
	// or the error, took from then on.
	Began time.Time
	Took  time.Duration
}

// asked is what a Client asks for, and at which address: what else goes out
// under its context is part of the handshake.
type asked struct {
	kind    Kind
	address string
}

type askedKey struct{}

// send sends a request, and tells of it.
func (g *guard) send(way *http.Transport, r *http.Request) (*http.Response, error) {
	p := g.pool
	if p.onExchange == nil {
		return way.RoundTrip(r)
	}
	e := Exchange{Host: g.host, Kind: g.kindOf(r), Method: r.Method, Began: p.now()}
	response, err := way.RoundTrip(r)
	e.Took = p.now().Sub(e.Began)
	if err == nil {
		e.Code = response.StatusCode
		if p.onReceived != nil {
			response.Body = &countedBody{response.Body, func(n int) { p.onReceived(g.host, n) }}
		}
	}
	p.onExchange(r.Context(), e)
	return response, err
}

// kindOf tells what a request is for, by that from which redirects led to it.
func (g *guard) kindOf(r *http.Request) Kind {
	first := origin(r)
	if a, ok := r.Context().Value(askedKey{}).(asked); ok && a.address == first.URL.String() {
		return a.kind
	}
	if placeOf(first.URL) == g.place && first.URL.Path == pingPath {
		return KindPing
	}
	return KindToken
}

// asking is a context for a request of a kind to an address.
func asking(ctx context.Context, kind Kind, address string) context.Context {
	return context.WithValue(ctx, askedKey{}, asked{kind, address})
}

// countedBody tells of what is read.
type countedBody struct {
	io.ReadCloser
	told func(n int)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.told(n)
	}
	return n, err
}
