package announce

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Bounds of notifications. The limit of an object is what client-go sets to the
// events of one, and with it Flux.
const (
	notifyTimeout    = 5 * time.Second
	notifyAttempts   = 4
	firstNotifyRetry = time.Second
	// longestNotifyRetry bounds what a receiver may ask for.
	longestNotifyRetry = 30 * time.Second
	objectBurst        = 25
	objectInterval     = 5 * time.Minute
	maxObjects         = 4096
	maxAnswer          = 64 << 10
)

// Notifier sends events to Flux's notification-controller, in the format that
// Flux's controllers use.
type Notifier struct {
	url    string
	client *http.Client
	log    logr.Logger
	counts *prometheus.CounterVec

	mu     sync.Mutex
	limits map[types.UID]*rate.Limiter
}

// NewNotifier returns a notifier that posts to an address such as
// http://notification-controller.flux-system.svc.cluster.local./.
func NewNotifier(address, userAgent string, log logr.Logger) (*Notifier, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 2
	n := &Notifier{
		url: address, log: log, limits: map[types.UID]*rate.Limiter{},
		client: &http.Client{
			Transport: agent{transport, userAgent}, Timeout: notifyTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		counts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_notifications_total",
			Help: "Events for --events-addr: sent, failed, or dropped because too many waited, an object had too many, or the receiver had just had the same.",
		}, []string{"result"}),
	}
	for r := range names {
		n.counts.WithLabelValues(names[r])
	}
	return n, nil
}

var names = [...]string{sent: "sent", failed: "failed", dropped: "dropped"}

// agent sets the User-Agent.
type agent struct {
	*http.Transport
	name string
}

func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.Transport.RoundTrip(r)
}

// CheckAddress is why an address cannot be posted to.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("expected an http or https URL without a user, such as http://notification-controller.flux-system.svc.cluster.local./")
	}
	return nil
}

// Collector is what counts.
func (n *Notifier) Collector() prometheus.Collector { return n.counts }

func (n *Notifier) count(_ Transition, r result) { n.counts.WithLabelValues(names[r]).Inc() }

func (n *Notifier) end() { n.client.CloseIdleConnections() }

// admit lets an object have a burst of events, and one more each five minutes.
func (n *Notifier) admit(t Transition) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	limit := n.limits[t.About.UID]
	if limit == nil {
		if len(n.limits) >= maxObjects {
			// Those that are at rest begin anew as they were.
			maps.DeleteFunc(n.limits, func(_ types.UID, l *rate.Limiter) bool { return l.TokensAt(t.At.Time) >= objectBurst })
		}
		if len(n.limits) >= maxObjects {
			return false
		}
		limit = rate.NewLimiter(rate.Every(objectInterval), objectBurst)
		n.limits[t.About.UID] = limit
	}
	return limit.AllowN(t.At.Time, 1)
}

func (n *Notifier) send(ctx context.Context, t Transition) result {
	body, err := json.Marshal(notificationOf(t))
	if err != nil {
		n.log.Error(err, "encoding an event for --events-addr")
		return failed
	}
	delay := firstNotifyRetry
	for attempt := 1; ; attempt++ {
		r, after, err := n.post(ctx, body)
		if r != failed || after < 0 || attempt == notifyAttempts || ctx.Err() != nil {
			if r == failed {
				n.log.Info("an event was not taken by --events-addr", "namespace", t.About.Namespace, "name", t.About.Name, "reason", t.Reason, "attempts", attempt, "error", err.Error())
			}
			return r
		}
		pause := time.NewTimer(max(after, delay))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		delay *= 2
	}
}

// post tries once. Where it failed, it says after what time to try again;
// negative for never.
func (n *Notifier) post(ctx context.Context, body []byte) (result, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		return failed, -1, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := n.client.Do(request)
	if err != nil {
		return failed, 0, causeOf(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // So that the connection can be used again.
	after := retryAfter(response)
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return sent, 0, nil
	case status == http.StatusTooManyRequests && (after < 0 || after > longestNotifyRetry):
		// What notification-controller says to an event that it has had.
		return dropped, 0, nil
	case status == http.StatusTooManyRequests:
		return failed, after, fmt.Errorf("status %d", status)
	case status >= 500:
		return failed, min(max(after, 0), longestNotifyRetry), fmt.Errorf("status %d", status)
	default:
		return failed, -1, fmt.Errorf("status %d", status)
	}
}

// causeOf is why nobody answered, without the address, which may hold what is
// secret, and without what net/http repeats of an answer that is no HTTP.
func causeOf(err error) error {
	var network net.Error
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &network) && network.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &operation):
		return operation
	case errors.As(err, &certificate):
		return errors.New("its certificate cannot be verified")
	default:
		return errors.New("the connection broke, or what is answered is no HTTP")
	}
}

// retryAfter is what a Retry-After header says, in seconds or as a date;
// negative where it says nothing.
func retryAfter(response *http.Response) time.Duration {
	text := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 86400)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return -1
}

// notificationOf is a transition as Flux's controllers say it.
func notificationOf(t Transition) eventv1.Event {
	severity := eventv1.EventSeverityInfo
	if t.Type == corev1.EventTypeWarning {
		severity = eventv1.EventSeverityError
	}
	metadata := maps.Clone(t.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	maps.Copy(metadata, t.Annotations)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return eventv1.Event{
		InvolvedObject: t.About, Severity: severity, Timestamp: metav1.Time{Time: t.At.Time}, Message: t.Note, Reason: t.Reason,
		Metadata: metadata, ReportingController: Controller, ReportingInstance: host,
	}
}
