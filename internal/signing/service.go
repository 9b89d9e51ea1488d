package signing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	// maxAnswerBytes bounds the answer of a service; 10 KiB are usual.
	maxAnswerBytes = 1 << 20
	// answerTime is how long one answer may take: Rekor v2 answers once the
	// entry is in the log.
	answerTime = 90 * time.Second
	// retryDelay is how long a service is left alone that said that it is busy.
	retryDelay = time.Second
	// maxServiceText bounds how much of its own words an error repeats.
	maxServiceText = 200
)

// ServiceError is what a certificate authority, a log or a timestamp authority
// did wrong, or did not do. Nothing was attached.
type ServiceError struct {
	// Service is which, and URL where.
	Service, URL string
	// Problem is what was expected and what was found. It may repeat printable
	// words of the service, never what was sent.
	Problem string
	// Err is what it wraps, if anything: a context's error.
	Err error
}

func (e *ServiceError) Error() string { return e.Service + " " + e.URL + ": " + e.Problem }
func (e *ServiceError) Unwrap() error { return e.Err }

// service is one of them.
type service struct {
	what, url, userAgent string
	// secret is a text that its answers may repeat and errors may not.
	secret string
}

func (s service) problem(format string, args ...any) *ServiceError {
	return &ServiceError{Service: s.what, URL: s.url, Problem: fmt.Sprintf(format, args...)}
}

// answer is what a service answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request is what a service is asked.
type request struct {
	method, path string
	header       map[string]string
	body         []byte
	// statuses are those that are answers; any other is an error.
	statuses []int
}

// ask sends a request, and sends it once more if the service is busy.
func (s service) ask(ctx context.Context, r request) (answer, error) {
	for attempt := 1; ; attempt++ {
		a, err := s.askOnce(ctx, r)
		if err != nil {
			return answer{}, err
		}
		for _, status := range r.statuses {
			if a.status == status {
				return a, nil
			}
		}
		busy := a.status == http.StatusTooManyRequests || a.status >= 500
		if !busy || attempt == 2 {
			return answer{}, s.refused(a)
		}
		select {
		case <-time.After(retryDelay):
		case <-ctx.Done():
			return answer{}, s.broken(ctx, ctx.Err())
		}
	}
}

func (s service) askOnce(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, strings.TrimSuffix(s.url, "/")+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, s.problem("expected the URL of a service, found another text")
	}
	req.Header.Set("User-Agent", s.userAgent)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	response, err := client.Do(req)
	if err != nil {
		return answer{}, s.broken(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, s.broken(ctx, err)
	}
	if len(body) > maxAnswerBytes {
		return answer{}, s.problem("expected an answer of at most %d bytes, found more", maxAnswerBytes)
	}
	return answer{status: response.StatusCode, header: response.Header, body: body}, nil
}

// client follows no redirect, which would take a token elsewhere. The proxy is
// that of the environment, as for registries.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// broken words a request without an answer. Errors of net/http name method and
// URL, which are known.
func (s service) broken(ctx context.Context, err error) *ServiceError {
	problem := err.Error()
	if u := (*url.Error)(nil); errors.As(err, &u) {
		problem = u.Err.Error()
	}
	if cause := context.Cause(ctx); cause != nil {
		problem, err = "no answer in time", cause
		if errors.Is(cause, context.Canceled) {
			problem = "interrupted"
		}
	}
	e := s.problem("%s", s.printable(problem))
	e.Err = err
	return e
}

// refused words an answer that is none.
func (s service) refused(a answer) *ServiceError {
	status := fmt.Sprintf("answered %d %s", a.status, http.StatusText(a.status))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(a.body, &said) == nil {
		if text := s.printable(said.Message); text != "" {
			status += ": " + text
		}
	}
	return s.problem("%s", status)
}

// printable is what may be repeated of a service's words: none, if there is any
// of the secret in it.
func (s service) printable(text string) string {
	const part = 12
	for i := 0; i+part <= len(s.secret); i++ {
		if strings.Contains(text, s.secret[i:i+part]) {
			return ""
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }), " ")
	if runes := []rune(text); len(runes) > maxServiceText {
		text = string(runes[:maxServiceText]) + "..."
	}
	return text
}
