package announce

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What arrives is Flux's event, and nothing else.
func TestNotification(t *testing.T) {
	at := metav1.NewMicroTime(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for kind, severity := range map[string]string{corev1.EventTypeNormal: "info", corev1.EventTypeWarning: "error"} {
		t.Run(kind, func(t *testing.T) {
			var found eventv1.Event
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != "POST" || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/json" || r.UserAgent() != "assay/1" {
					t.Errorf("found %s %s, %v", r.Method, r.URL, r.Header)
				}
				d := json.NewDecoder(r.Body)
				d.DisallowUnknownFields()
				if err := d.Decode(&found); err != nil {
					t.Error(err)
				}
				w.WriteHeader(http.StatusAccepted)
			}))
			defer server.Close()
			n, err := NewNotifier(server.URL+"/", "assay/1", logr.Discard())
			if err != nil {
				t.Fatal(err)
			}
			defer n.end()
			transition := Transition{
				About: about, Type: kind, Reason: "SignatureVerified", Note: "published", At: at,
				Annotations: map[string]string{"source.assay.dev/revision": "1.0.0@sha256:1"},
				Metadata:    map[string]string{"event.toolkit.fluxcd.io/env": "prod", "source.assay.dev/revision": "forged"},
			}
			if r := n.send(t.Context(), transition); r != sent {
				t.Fatalf("found %s", names[r])
			}
			want := eventv1.Event{
				InvolvedObject: about, Severity: severity, Timestamp: metav1.Time{Time: at.Local()}, Message: "published", Reason: "SignatureVerified",
				Metadata:            map[string]string{"source.assay.dev/revision": "1.0.0@sha256:1", "event.toolkit.fluxcd.io/env": "prod"},
				ReportingController: Controller, ReportingInstance: host,
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
		})
	}
}

type answers func(attempt int) (*http.Response, error)

// A receiver may refuse, fail, hang or be busy: each costs so many requests and
// so much time, and no more.
func TestNotifierAnswers(t *testing.T) {
	status := func(code int, retryAfter string) answers {
		return func(int) (*http.Response, error) {
			return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {retryAfter}}, Body: io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20)))}, nil
		}
	}
	then := func(first, rest answers) answers {
		return func(attempt int) (*http.Response, error) {
			if attempt == 1 {
				return first(attempt)
			}
			return rest(attempt)
		}
	}
	refused := func(int) (*http.Response, error) { return nil, errors.New("connection refused") }
	for name, c := range map[string]struct {
		answer   answers
		want     result
		requests int
		took     time.Duration
	}{
		"taken":                          {status(202, ""), sent, 1, 0},
		"not taken":                      {status(400, ""), failed, 1, 0},
		"sent elsewhere":                 {status(307, ""), failed, 1, 0},
		"an error":                       {status(500, ""), failed, 4, 7 * time.Second},
		"an error, for a while":          {then(status(503, ""), status(200, "")), sent, 2, time.Second},
		"an error, with a time":          {then(status(503, "10"), status(200, "")), sent, 2, 10 * time.Second},
		"an error, with too long a time": {then(status(503, "3600"), status(200, "")), sent, 2, 30 * time.Second},
		"busy":                           {then(status(429, "3"), status(200, "")), sent, 2, 3 * time.Second},
		"busy for ever":                  {status(429, "20"), failed, 4, time.Minute},
		"had it":                         {status(429, "300"), dropped, 1, 0},
		"had it, without a time":         {status(429, ""), dropped, 1, 0},
		"not there":                      {refused, failed, 4, 7 * time.Second},
		"not there, for a while":         {then(refused, status(200, "")), sent, 2, time.Second},
		"hanging":                        {nil, failed, 4, 4*notifyTimeout + 7*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := NewNotifier("http://receiver/", "assay/1", logr.Discard())
				if err != nil {
					t.Fatal(err)
				}
				requests := 0
				n.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					requests++
					if c.answer == nil {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return c.answer(requests)
				})
				begun := time.Now()
				found := n.send(t.Context(), Transition{About: about})
				if took := time.Since(begun); found != c.want || requests != c.requests || took != c.took {
					t.Errorf("expected %s after %d requests in %s, found %s, %d, %s", names[c.want], c.requests, c.took, names[found], requests, took)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNotifierEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNotifier("http://receiver/", "assay/1", logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		n.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if r := n.send(ctx, Transition{About: about}); r != failed || time.Since(begun) != 1500*time.Millisecond {
			t.Errorf("found %s after %s", names[r], time.Since(begun))
		}
	})
}

// An object gets a burst, and one more each five minutes; another has its own.
func TestNotifierLimitsAnObject(t *testing.T) {
	n, err := NewNotifier("http://receiver/", "assay/1", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_000_000, 0)
	admitted := func(uid types.UID, times int) int {
		found := 0
		for range times {
			if n.admit(Transition{About: corev1.ObjectReference{UID: uid}, At: metav1.NewMicroTime(at)}) {
				found++
			}
		}
		return found
	}
	if found := admitted("a", 100); found != objectBurst {
		t.Errorf("expected %d, found %d", objectBurst, found)
	}
	if found := admitted("b", 1); found != 1 {
		t.Error("expected another object to have its own limit")
	}
	at = at.Add(2 * objectInterval)
	if found := admitted("a", 100); found != 2 {
		t.Errorf("expected 2 after ten minutes, found %d", found)
	}
	// Objects come and go.
	at = at.Add(24 * time.Hour)
	for i := range 2 * maxObjects {
		admitted(types.UID(rune(i)), 1)
	}
	if len(n.limits) > maxObjects {
		t.Errorf("expected %d objects at the most, found %d", maxObjects, len(n.limits))
	}
}

func TestCheckAddress(t *testing.T) {
	for address, good := range map[string]bool{
		"http://notification-controller.flux-system.svc.cluster.local./": true, "https://events.example.com/flux?x=y": true,
		"": false, "notification-controller": false, "http://": false, "ftp://host/": false, "http://u:p@host/": false, "http://host/#x": false, "http://ho st/": false,
	} {
		if err := CheckAddress(address); (err == nil) != good {
			t.Errorf("%q: expected it to be accepted: %v, found %v", address, good, err)
		}
	}
}

// Of what a receiver answers, nothing is repeated in the log.
func TestNotificationsLogNothingThatIsAnswered(t *testing.T) {
	const secret = "hunter2"
	for name, answer := range map[string]string{
		"no HTTP":        secret + "\r\n\r\n",
		"a status":       "HTTP/1.1 " + secret + " x\r\n\r\n",
		"a header":       "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"a refusal":      "HTTP/1.1 400 " + secret + "\r\nContent-Length: 7\r\n\r\n" + secret,
		"another length": "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
						_, _ = io.WriteString(connection, answer)
					}
					_ = connection.Close()
				}
			}()
			n, err := NewNotifier("http://"+listener.Addr().String()+"/", "assay/1", logr.Discard())
			if err != nil {
				t.Fatal(err)
			}
			defer n.end()
			result, _, err := n.post(t.Context(), []byte("{}"))
			if result != failed || err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("expected an error without what was answered, found %s, %v", names[result], err)
			}
		})
	}
}
