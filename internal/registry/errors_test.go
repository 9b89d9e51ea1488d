package registry

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatusError(t *testing.T) {
	tests := map[int]Reason{
		http.StatusUnauthorized:        AuthenticationFailed,
		http.StatusForbidden:           AuthenticationFailed,
		http.StatusTooManyRequests:     RateLimited,
		http.StatusBadRequest:          RegistryUnavailable,
		http.StatusNotFound:            RegistryUnavailable,
		http.StatusMethodNotAllowed:    RegistryUnavailable,
		http.StatusTeapot:              RegistryUnavailable,
		http.StatusInternalServerError: RegistryUnavailable,
		http.StatusBadGateway:          RegistryUnavailable,
		http.StatusServiceUnavailable:  RegistryUnavailable,
		http.StatusNoContent:           RegistryUnavailable,
		599:                            RegistryUnavailable,
	}
	for code, want := range tests {
		if found := statusError("it", code, nil); found.Reason != want {
			t.Errorf("%d: expected %s, found %s", code, want, found.Reason)
		}
	}
	found := statusError("ghcr.io/org/app: tags", 503, http.Header{"Retry-After": {"7"}})
	if found.Message != "ghcr.io/org/app: tags: the registry answered 503 Service Unavailable" || found.RetryAfter != 7*time.Second {
		t.Errorf("found %q, %s", found.Message, found.RetryAfter)
	}
}

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	tests := map[string]struct {
		value    string
		min, max time.Duration
	}{
		"absent":                 {"", 0, 0},
		"seconds":                {"120", 2 * time.Minute, 2 * time.Minute},
		"zero":                   {"0", 0, 0},
		"negative":               {"-1", 0, 0},
		"beyond an hour":         {"86400", time.Hour, time.Hour},
		"overflows a duration":   {"9223372036854775807", time.Hour, time.Hour},
		"overflows an int":       {"9223372036854775808", 0, 0},
		"not a number":           {"soon", 0, 0},
		"a fraction":             {"1.5", 0, 0},
		"a date":                 {date(10 * time.Minute), 9 * time.Minute, 10 * time.Minute},
		"a date in the past":     {date(-time.Hour), 0, 0},
		"a date in a far future": {date(1000 * time.Hour), time.Hour, time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := retryAfter(http.Header{"Retry-After": {tt.value}})
			if found < tt.min || found > tt.max {
				t.Errorf("expected %s to %s, found %s", tt.min, tt.max, found)
			}
		})
	}
}

// Every class of failure is worded in terms that stay the same, whatever the
// host name looks like: go-containerregistry goes another way for those that
// look local.
func TestFailuresReadTheSameEachTime(t *testing.T) {
	ca := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	tests := map[string]struct {
		insecure bool
		// listen returns the address that the registry's name leads to.
		listen  func(t *testing.T, host string) string
		timeout time.Duration
		want    string
	}{
		"refused":           {listen: closedPort, want: "connection refused"},
		"refused, insecure": {insecure: true, listen: closedPort, want: "connection refused"},
		"no such host":      {listen: func(*testing.T, string) string { return "" }, want: "the host name cannot be resolved"},
		"no such host, insecure": {
			insecure: true, listen: func(*testing.T, string) string { return "" }, want: "the host name cannot be resolved",
		},
		"an unknown authority": {
			listen: func(t *testing.T, host string) string {
				return serveTLS(t, newAuthority(t).issue(t, hour, host), answer)
			},
			want: "the registry's certificate is signed by an unknown authority",
		},
		"expired": {
			listen: func(t *testing.T, host string) string {
				return serveTLS(t, ca.issue(t, time.Now().Add(-time.Hour), host), answer)
			},
			want: "the registry's certificate has expired or is not yet valid",
		},
		"another host name": {
			listen: func(t *testing.T, _ string) string {
				return serveTLS(t, ca.issue(t, hour, "other.example.com"), answer)
			},
			want: "the registry's certificate is for another host name",
		},
		"closed at once":           {listen: hangUp, want: "connection closed before the answer was complete"},
		"closed at once, insecure": {insecure: true, listen: hangUp, want: "connection closed before the answer was complete"},
		"reset":                    {listen: reset, want: "connection closed before the answer was complete"},
		"reset, insecure":          {insecure: true, listen: reset, want: "connection closed before the answer was complete"},
		"no answer": {
			timeout: 300 * time.Millisecond, listen: silent, want: "no answer in time",
		},
		"no answer, insecure": {
			insecure: true, timeout: 700 * time.Millisecond, listen: silent, want: "no answer in time",
		},
		"plain HTTP where HTTPS is expected": {
			listen: func(t *testing.T, _ string) string { return serve(t, listenTCP(t), answer) },
			want:   "the registry does not speak HTTPS: write insecure: true for plain HTTP",
		},
		"HTTPS where plain HTTP is expected": {
			insecure: true,
			listen:   func(t *testing.T, host string) string { return serveTLS(t, ca.issue(t, hour, host), answer) },
			want:     "the registry answered 400 Bad Request",
		},
		"no protocol at all": {
			insecure: true, listen: func(t *testing.T, _ string) string {
				return newWiretap(t, func(c net.Conn) { _, _ = c.Write([]byte("hello\r\n\r\n")) }).listener.Addr().String()
			},
			want: "insecure: true means plain HTTP, which the registry does not speak",
		},
	}
	for _, host := range []string{"registry.example.com", "127.0.0.1", "10.1.2.3"} {
		for name, tt := range tests {
			t.Run(host+" "+name, func(t *testing.T) {
				t.Parallel()
				place := host + ":443"
				addresses := map[string]string{}
				if to := tt.listen(t, host); to != "" {
					addresses[place] = to
				}
				repo := repository(t, "oci://"+place+"/app", tt.insecure)
				try := func() string {
					p := newPool(t)
					(&names{addresses: addresses}).use(p, ca.pool())
					ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.timeout, time.Minute))
					defer cancel()
					_, err := p.Client(repo, Credentials{}).Resolve(ctx, selector(t, "", "latest", "", ""))
					if wantReason(t, err, RegistryUnavailable); err == nil {
						return ""
					}
					return err.Error()
				}
				first, second := try(), try()
				if first != second {
					t.Errorf("the text changes:\n%s\n%s", first, second)
				}
				if want := place + "/app: tag latest: " + tt.want; first != want {
					t.Errorf("expected %q, found %q", want, first)
				}
			})
		}
	}
}

// No route cannot be had on loopback.
func TestNoRouteReadsTheSame(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		p := newPool(t)
		p.dial = func(context.Context, string, string, func(netip.Addr) error) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
		}
		_, err := p.Client(repository(t, "oci://10.1.2.3/app", insecure), Credentials{}).Resolve(t.Context(), selector(t, "", "latest", "", ""))
		if wantReason(t, err, RegistryUnavailable); err == nil || !strings.HasSuffix(err.Error(), "tag latest: no route to the registry") {
			t.Errorf("insecure %t: found %q", insecure, err)
		}
	}
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func closedPort(t *testing.T, _ string) string {
	listener := listenTCP(t)
	_ = listener.Close()
	return listener.Addr().String()
}

func hangUp(t *testing.T, _ string) string { return newWiretap(t, nil).listener.Addr().String() }

// reset answers with a TCP reset.
func reset(t *testing.T, _ string) string {
	return newWiretap(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }).listener.Addr().String()
}

// silent accepts and says nothing until the client gives up.
func silent(t *testing.T, _ string) string {
	return newWiretap(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).listener.Addr().String()
}
