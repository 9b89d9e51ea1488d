package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

const (
	// refreshTimeout bounds all requests of one refresh together.
	refreshTimeout = time.Minute
	// requestTimeout bounds one request with its body.
	requestTimeout = 20 * time.Second
	maxRedirects   = 5
)

// client reads the files of one TUF repository.
type client struct {
	base      *url.URL
	userAgent string
	timeout   time.Duration // of one request
	http      *http.Client
}

func newClient(base *url.URL, userAgent string) *client {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// What is read is what is counted.
		DisableCompression: true,
	}
	return &client{
		base:      base,
		userAgent: userAgent,
		timeout:   requestTimeout,
		http:      &http.Client{Transport: transport, CheckRedirect: checkRedirect},
	}
}

// close closes idle connections: a refresh is too rare to keep them.
func (c *client) close() { c.http.CloseIdleConnections() }

// get reads a file of at most limit bytes. Found is false where the mirror
// answers 404, or 403, which is what object stores answer to those who may not
// list; python-tuf takes the two for the same. A failure is Unreachable, or
// Untrusted when there is more than limit.
func (c *client) get(ctx context.Context, name string, limit int64) (raw []byte, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, false, failed(Unreachable, "%s: not a URL", name)
	}
	request.Header.Set("User-Agent", c.userAgent)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, false, failed(Unreachable, "%s: %s", name, describe(err))
	}
	defer closeBody(response)
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusForbidden:
		return nil, false, nil
	default:
		return nil, false, failed(Unreachable, "%s: the mirror answered %d %s", name, response.StatusCode, http.StatusText(response.StatusCode))
	}
	raw, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, false, failed(Unreachable, "%s: %s", name, describe(err))
	}
	if int64(len(raw)) > limit {
		return nil, false, failed(Untrusted, "%s: the mirror answered more than %d bytes", name, limit)
	}
	return raw, true, nil
}

// closeBody drains a little, the page that comes with a 404, so that the
// connection serves the next request, too.
func closeBody(r *http.Response) {
	_, _ = io.CopyN(io.Discard, r.Body, 16<<10)
	_ = r.Body.Close()
}

// need is get for a file that must be there.
func (c *client) need(ctx context.Context, name string, limit int64) ([]byte, error) {
	raw, found, err := c.get(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, failed(Unreachable, "%s: the mirror answered that there is none", name)
	}
	return raw, nil
}

type redirectError struct{ message string }

func (e *redirectError) Error() string { return e.message }

func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("redirected more than %d times", maxRedirects)}
	case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return &redirectError{"redirected from https to another protocol"}
	}
	return nil
}

// describe words a failed request. The errors of net/http hold the URL, with
// what is secret in it, and can quote the server.
func describe(err error) string {
	var (
		redirect    *redirectError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		timeout     interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &redirect):
		return redirect.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "the host name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the mirror"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer was complete"
	case errors.As(err, &certificate):
		return "the mirror's certificate is not valid"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Sprintf("the request failed (%T)", err)
}
