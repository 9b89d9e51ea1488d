package signing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstore/server"
)

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// stale answers with what the service answered to the first request, always.
func stale(w *world, name string) http.HandlerFunc {
	var first *httptest.ResponseRecorder
	return func(rw http.ResponseWriter, r *http.Request) {
		if first == nil {
			first = httptest.NewRecorder()
			w.services.Right(name)(first, r)
		}
		for key, values := range first.Header() {
			rw.Header()[key] = values
		}
		rw.WriteHeader(first.Code)
		_, _ = rw.Write(first.Body.Bytes())
	}
}

// stamping answers a timestamp request that was edited, and some time later.
func stamping(w *world, later time.Duration, edit func(*timestamp.Request)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		request, err := timestamp.ParseRequest(body)
		if err != nil {
			panic(err)
		}
		edit(request)
		response, err := w.sigstore.AnswerTimestamp(request, time.Now().Add(later))
		if err != nil {
			panic(err)
		}
		_, _ = rw.Write(response)
	}
}

// TestRubbish: whatever a service answers, the error names it, and nothing is
// attached. The token is in no error, also where an answer repeats it.
func TestRubbish(t *testing.T) {
	w := newWorld(t, true)
	certificate := `{"signedCertificateEmbeddedSct":{"chain":{"certificates":[%q]}}}`
	token := server.Token(who)
	for name, c := range map[string]struct {
		service string
		answer  http.HandlerFunc
		want    string
	}{
		"fulcio, not found":       {server.Fulcio, answer(404, "no such page"), "answered 404 Not Found"},
		"fulcio, redirect":        {server.Fulcio, http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP, "answered 307 Temporary Redirect"},
		"fulcio, denied":          {server.Fulcio, answer(401, `{"code":16,"message":"There was an error\n\u001b[31mprocessing the identity token"}`), "answered 401 Unauthorized: There was an error [31mprocessing the identity token"},
		"fulcio, token":           {server.Fulcio, answer(400, `{"message":"bad token `+token+`"}`), "answered 400 Bad Request"},
		"fulcio, part of a token": {server.Fulcio, answer(400, `{"message":"bad token `+token[40:60]+`"}`), "answered 400 Bad Request"},
		"fulcio, endless":         {server.Fulcio, answer(200, strings.Repeat(" ", 1<<20+1)), "expected an answer of at most 1048576 bytes, found more"},
		"fulcio, text":            {server.Fulcio, answer(200, "<html>"), "expected a certificate, found an answer that is not JSON"},
		"fulcio, nothing":         {server.Fulcio, answer(200, "{}"), "expected a certificate and at most 9 above it, found 0 in all"},
		"fulcio, no PEM":          {server.Fulcio, answer(200, fmt.Sprintf(certificate, "x")), "expected certificates in PEM, found something else"},
		"fulcio, too many":        {server.Fulcio, answer(200, `{"signedCertificateDetachedSct":{"chain":{"certificates":["","","","","","","","","","",""]}}}`), "found 11 in all"},
		"fulcio, another's":       {server.Fulcio, stale(w, server.Fulcio), "expected a certificate for the key that was sent, found one for another"},
		"rekor 1, text":           {server.Rekor1, answer(201, "<html>"), "expected an entry for the signature, found something else"},
		"rekor 1, nothing":        {server.Rekor1, answer(201, "{}"), "expected an entry for the signature, found something else"},
		"rekor 1, empty":          {server.Rekor1, answer(201, `{"x":{}}`), "expected an entry for the signature, found something else"},
		"rekor 1, no proof":       {server.Rekor1, answer(201, `{"x":{"body":"e30=","integratedTime":1,"logID":"00","logIndex":1,"verification":{}}}`), "expected an entry for the signature, found something else"},
		"rekor 1, conflict":       {server.Rekor1, answer(409, `{}`), "expected an entry for the signature, found something else"},
		"rekor 1, denied":         {server.Rekor1, answer(400, `{"code":400,"message":"invalid signature"}`), "answered 400 Bad Request: invalid signature"},
		"rekor 1, another's":      {server.Rekor1, stale(w, server.Rekor1), "expected an entry for the signature, found one for another"},
		"rekor 2, text":           {server.Rekor2, answer(201, "<html>"), "expected an entry for the signature, found something else"},
		"rekor 2, nothing":        {server.Rekor2, answer(201, "{}"), "expected an entry for the signature, found one for another"},
		"rekor 2, another's":      {server.Rekor2, stale(w, server.Rekor2), "expected an entry for the signature, found one for another"},
		"tsa, text":               {server.TSA, answer(200, "<html>"), "expected a timestamp of the signature, found something else"},
		"tsa, nothing":            {server.TSA, answer(200, ""), "expected a timestamp of the signature, found something else"},
		"tsa, large":              {server.TSA, answer(200, strings.Repeat("x", 17<<10)), "expected a timestamp of at most 16384 bytes, found 17408"},
		"tsa, another signature":  {server.TSA, stamping(w, 0, func(r *timestamp.Request) { r.HashedMessage[0] ^= 1 }), "expected a timestamp of the signature, found one of something else"},
		"tsa, too late":           {server.TSA, stamping(w, time.Hour, func(*timestamp.Request) {}), "expected a time at which the certificate is valid, "},
		"tsa, another's":          {server.TSA, stale(w, server.TSA), "expected a timestamp of the signature, found one of something else"},
	} {
		t.Run(name, func(t *testing.T) {
			w.services.Answer(c.service, c.answer)
			defer w.services.Answer(c.service, nil)
			o := w.options(verify.FormatBundle, nil)
			o.Token = func(context.Context) (string, error) { return token, nil }
			o = w.witnessed(o, witness{log: 1, stamp: true})
			if c.service == server.Rekor2 {
				o = w.witnessed(o, witness{log: 2, stamp: true})
			}
			var err error
			for range 2 { // What is stale is right the first time.
				if _, err = signing.Sign(t.Context(), o, w.digest); err != nil {
					break
				}
			}
			var failed *signing.ServiceError
			if !errors.As(err, &failed) || failed.URL != w.services.URL(c.service) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("expected %q of %s, found %v", c.want, w.services.URL(c.service), err)
			}
			for i := range len(token) - 12 {
				if strings.Contains(err.Error(), token[i:i+12]) {
					t.Fatalf("the token is in the error: %v", err)
				}
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("the error moves the cursor: %q", err)
			}
		})
	}
	if got := w.attached(t, w.digest); len(got) != 0 {
		t.Errorf("%d signatures are attached", len(got))
	}
}

// TestBusy: a service that is busy once is asked once more, and one that is busy
// twice is the error.
func TestBusy(t *testing.T) {
	w := newWorld(t, true)
	o := w.witnessed(w.options(verify.FormatBundle, newKey(t, "p256")), witness{log: 1})
	first := true
	w.services.Answer(server.Rekor1, func(rw http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.services.Right(server.Rekor1)(rw, r)
	})
	if _, err := signing.Sign(t.Context(), o, w.digest); err != nil {
		t.Error(err)
	}
	w.services.Answer(server.Rekor1, answer(503, ""))
	asked := w.services.Asked(server.Rekor1)
	if _, err := signing.Sign(t.Context(), o, w.digest); err == nil || !strings.Contains(err.Error(), "answered 503 Service Unavailable") {
		t.Errorf("expected 503, found %v", err)
	}
	if got := w.services.Asked(server.Rekor1) - asked; got != 2 {
		t.Errorf("expected 2 requests, found %d", got)
	}
}

// TestOtherRoot: services that are not those of the trusted root are noticed
// before anything is attached, in either format.
func TestOtherRoot(t *testing.T) {
	w := newWorld(t, true)
	other, err := sigstore.New()
	if err != nil {
		t.Fatal(err)
	}
	part := func(edit func(*sigstore.Roots)) *verify.TrustedRoot {
		roots := w.sigstore.Roots()
		edit(&roots)
		text, err := sigstore.TrustedRoot(roots)
		if err != nil {
			t.Fatal(err)
		}
		root, err := verify.ParseTrustedRoot(text)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	for name, c := range map[string]struct {
		root *verify.TrustedRoot
		want verify.Reason
	}{
		"another certificate authority": {part(func(r *sigstore.Roots) { r.CA = other }), verify.ReasonCertificateInvalid},
		"another certificate log":       {part(func(r *sigstore.Roots) { r.CTLog = other }), verify.ReasonCertificateInvalid},
		"another log":                   {part(func(r *sigstore.Roots) { r.Rekor1 = other }), verify.ReasonTransparencyLogInvalid},
		"another timestamp authority":   {part(func(r *sigstore.Roots) { r.TSA = other }), verify.ReasonTimestampInvalid},
	} {
		for _, format := range formats {
			t.Run(name+"/"+string(format), func(t *testing.T) {
				o := w.witnessed(w.options(format, nil), witness{log: 1, stamp: true})
				o.Root = c.root
				var refusal *verify.Refusal
				if _, err := sign(t, o, w.digest); !errors.As(err, &refusal) || refusal.Reason != c.want {
					t.Errorf("expected %s, found %v", c.want, err)
				}
			})
		}
	}
	none := part(func(r *sigstore.Roots) { r.Rekor1, r.Rekor2 = nil, nil })
	o := w.witnessed(w.options(verify.FormatBundle, nil), witness{log: 1})
	o.Root = none
	var policy *verify.PolicyError
	if _, err := sign(t, o, w.digest); !errors.As(err, &policy) {
		t.Errorf("expected a root without a log to be refused, found %v", err)
	}
	if got := w.attached(t, w.digest); len(got) != 0 {
		t.Errorf("%d signatures are attached", len(got))
	}
}

// TestInterrupt ends the wait for each service, and leaves nothing.
func TestInterrupt(t *testing.T) {
	w := newWorld(t, true)
	for _, name := range []string{server.Fulcio, server.Rekor1, server.TSA} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.services.Answer(name, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // A server hears of the end of a request whose body it has.
				cancel()
				<-r.Context().Done()
			})
			defer w.services.Answer(name, nil)
			o := w.witnessed(w.options(verify.FormatBundle, nil), witness{log: 1, stamp: true})
			if _, err := signing.Sign(ctx, o, w.digest); !errors.Is(err, context.Canceled) {
				t.Errorf("expected to be interrupted, found %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	signed, err := signing.Sign(ctx, w.options(verify.FormatBundle, newKey(t, "p256")), w.digest)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := signed.Attach(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("expected to be interrupted, found %v", err)
	}
	if got := w.attached(t, w.digest); len(got) != 0 {
		t.Errorf("%d signatures are attached", len(got))
	}
}

// TestStaleTimestamp: a timestamp of the very same signature, from an earlier
// request, is not the answer to this one.
func TestStaleTimestamp(t *testing.T) {
	w := newWorld(t, true)
	w.services.Answer(server.TSA, stale(w, server.TSA))
	o := w.witnessed(w.options(verify.FormatCosign, newKey(t, "rsa")), witness{stamp: true}) // It signs alike each time.
	if _, err := signing.Sign(t.Context(), o, w.digest); err != nil {
		t.Fatal(err)
	}
	if _, err := signing.Sign(t.Context(), o, w.digest); err == nil || !strings.Contains(err.Error(), "found one of something else") {
		t.Errorf("expected a stale timestamp to be refused, found %v", err)
	}
}
