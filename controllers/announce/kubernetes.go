package announce

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
)

const (
	// createTimeout bounds one request.
	createTimeout = 10 * time.Second
	// maxInstance is what the API server allows, in bytes.
	maxInstance = 128
)

// creates is how often and how long apart an event is written that the API
// server does not take for now: for half a minute.
var creates = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.25, Steps: 6}

// Kubernetes writes events of events.k8s.io/v1. client-go's broadcaster would
// do it too, but takes a goroutine for each, joins events by keys that leave the
// note out, and loses what is under way when it is shut down.
type Kubernetes struct {
	Client eventsv1client.EventsV1Interface
	Log    logr.Logger
}

func (k *Kubernetes) admit(Transition) bool { return true }

func (k *Kubernetes) count(t Transition, r result) {
	if r == dropped {
		k.Log.Info("an event was not written: too many of them wait, or the controller stops", "namespace", t.About.Namespace, "name", t.About.Name, "reason", t.Reason)
	}
}

func (k *Kubernetes) end() {} // The client is the manager's.

func (k *Kubernetes) send(ctx context.Context, t Transition) result {
	event := eventOf(t)
	err := wait.ExponentialBackoffWithContext(ctx, creates, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, createTimeout)
		defer cancel()
		_, err := k.Client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
		switch {
		case err == nil, apierrors.IsAlreadyExists(err): // It had arrived.
			return true, nil
		case isForNow(err):
			return false, nil
		default:
			return false, err
		}
	})
	if err != nil {
		k.Log.Error(err, "an event was not written", "namespace", t.About.Namespace, "name", t.About.Name, "reason", t.Reason)
		return failed
	}
	return sent
}

// isForNow reports whether the API server may take the same later.
func isForNow(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true // The network.
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// eventOf is a transition as an event. Its name is the same whenever it is
// written, so that a second try makes no second event.
func eventOf(t Transition) *eventsv1.Event {
	of := fnv.New64a()
	fmt.Fprint(of, t.About.UID, t.About.ResourceVersion, t.Reason, t.At.UnixNano())
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	instance := Controller + "-" + host
	namespace := t.About.Namespace
	// A cut between two parts of a name would leave what is no name.
	name := strings.TrimRight(t.About.Name[:min(len(t.About.Name), 230)], "-.")
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s.%016x", name, of.Sum64()), Annotations: t.Annotations},
		EventTime:           t.At,
		ReportingController: Controller,
		ReportingInstance:   instance[:min(len(instance), maxInstance)],
		Action:              "Verify",
		Reason:              t.Reason,
		Regarding:           t.About,
		Note:                t.Note,
		Type:                t.Type,
	}
}
