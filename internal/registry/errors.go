package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Reason says why a registry's answer could not be used. The values are those
// of the condition reasons in api/v1alpha1.
type Reason string

// The reasons of an Error.
const (
	RegistryUnavailable  Reason = "RegistryUnavailable"
	RateLimited          Reason = "RateLimited"
	AuthenticationFailed Reason = "AuthenticationFailed"
	RepositoryNotFound   Reason = "RepositoryNotFound"
	VersionNotFound      Reason = "VersionNotFound"
	TooManySignatures    Reason = "TooManySignatures"
	// VersionMismatch is a verdict: the signed manifest is of another version.
	VersionMismatch  Reason = "VersionMismatch"
	ArtifactInvalid  Reason = "ArtifactInvalid"
	ArtifactTooLarge Reason = "ArtifactTooLarge"
	// StorageFailed: a layer cannot be written to the local disk.
	StorageFailed Reason = "StorageFailed"
)

// Error is why a registry's answer could not be used.
type Error struct {
	Reason Reason
	// Message says what was asked for, what was expected and what was found.
	// It is the same on every retry and holds nothing of a response's body.
	Message string
	// RetryAfter is how long the registry asked to be left alone; 0 when it did
	// not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

func errorf(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// maxRetryAfter bounds what a registry can ask for.
const maxRetryAfter = time.Hour

// statusError words an answer of an unexpected status.
func statusError(what string, code int, header http.Header) *Error {
	e := errorf(RegistryUnavailable, "%s: the registry answered %d %s", what, code, http.StatusText(code))
	switch code {
	case http.StatusTooManyRequests:
		e.Reason = RateLimited
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Reason = AuthenticationFailed
	}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		e.RetryAfter = retryAfter(header)
	}
	return e
}

// retryAfter reads the header in seconds or as a date (RFC 9110, section 10.2.3).
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, int(maxRetryAfter/time.Second)))*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(date), 0), maxRetryAfter)
	}
	return 0
}

// requestError words a request that got no answer.
func requestError(what string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var answered *transport.Error
	if errors.As(err, &answered) {
		// The ping or the token server: its text stays out of the message, and
		// so does that it was one of them, which depends on whether there is a
		// session already.
		return statusError(what, answered.StatusCode, nil)
	}
	return errorf(RegistryUnavailable, "%s: %s", what, describe(err))
}

// describe words a failed request in terms that stay the same on every retry:
// the errors of package net hold ephemeral ports, those of crypto/x509 the
// time, those of net/http the query of a redirect, which may be a secret.
//
// For a host that looks local, and wherever plain HTTP is allowed,
// go-containerregistry tries both protocols, of which the guard refuses one,
// and returns both errors: what the guard says is looked at last, or it would
// hide why the other one failed.
func describe(err error) string {
	var (
		plain    *plainHTTPError
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		cert     *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		redirect *redirectError
		address  *addressError
		timeout  interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &redirect):
		return redirect.Error()
	case errors.As(err, &address):
		return address.Error()
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &dns):
		return "the host name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the registry"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer was complete"
	case errors.As(err, &unknown):
		return "the registry's certificate is signed by an unknown authority"
	case errors.As(err, &hostname):
		return "the registry's certificate is for another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the registry's certificate has expired or is not yet valid"
	case errors.As(err, &cert):
		return "the registry's certificate is not valid"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the registry does not speak HTTPS: write insecure: true for plain HTTP"
	case errors.As(err, &plain):
		return plain.Error()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Sprintf("the request failed (%T)", err)
}
