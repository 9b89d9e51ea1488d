// Package announce tells people about transitions: as Kubernetes events, and to
// Flux's notification-controller. It keeps nobody waiting: what is told is
// queued, within bounds, and written in the background; each receiver has a
// queue of its own, so that one that hangs delays no other. At the end what is
// queued is written, for as long as the caller allows.
package announce

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Controller is the name under which events are reported.
const Controller = "assay-controller"

// maxQueued is how much waits for a receiver; what comes when it is full is
// dropped.
const maxQueued = 1000

// Transition is one thing to tell.
type Transition struct {
	// About is the object, as it is after the transition.
	About corev1.ObjectReference
	// Type is Normal or Warning.
	Type string
	// Reason is that of the condition.
	Reason string
	// Note is for people; at most 1 KiB.
	Note string
	// Annotations are those of api/v1alpha1.
	Annotations map[string]string
	// Metadata is for the notification-controller alone: the object's annotations
	// that are meant for it.
	Metadata map[string]string
	// At is when.
	At metav1.MicroTime
}

// result is what became of one transition.
type result int

const (
	sent result = iota
	failed
	dropped
)

// Teller tells its receivers.
type Teller struct {
	queues []*queue
}

// New returns a teller of these receivers. Close ends it.
func New(receivers ...Receiver) *Teller {
	t := &Teller{}
	for _, r := range receivers {
		t.queues = append(t.queues, startQueue(r))
	}
	return t
}

// Tell queues a transition, and never waits.
func (t *Teller) Tell(transition Transition) {
	for _, q := range t.queues {
		q.put(transition)
	}
}

// Close writes what is queued until ctx ends, and drops the rest. It returns
// when nothing is under way any more; what is told afterwards is dropped. It may
// be called again.
func (t *Teller) Close(ctx context.Context) {
	var wait sync.WaitGroup
	for _, q := range t.queues {
		wait.Go(func() { q.close(ctx) })
	}
	wait.Wait()
}

// Receiver is somebody who is told.
type Receiver interface {
	// admit reports whether a transition is to be queued.
	admit(Transition) bool
	// send tells, and returns before long once ctx ends.
	send(ctx context.Context, t Transition) result
	// count is told what became of each.
	count(t Transition, r result)
	// end gives back what the receiver holds.
	end()
}

// queue holds what a receiver is still to be told, in order.
type queue struct {
	to     Receiver
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	pending chan Transition
	closed  bool
}

func startQueue(to Receiver) *queue {
	q := &queue{to: to, pending: make(chan Transition, maxQueued), done: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

func (q *queue) put(t Transition) {
	if !q.to.admit(t) {
		q.to.count(t, dropped)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.to.count(t, dropped)
		return
	}
	select {
	case q.pending <- t:
	default:
		q.to.count(t, dropped)
	}
}

func (q *queue) run() {
	defer close(q.done)
	for t := range q.pending {
		if q.ctx.Err() != nil {
			q.to.count(t, dropped)
			continue
		}
		q.to.count(t, q.to.send(q.ctx, t))
	}
}

func (q *queue) close(ctx context.Context) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.pending)
	}
	q.mu.Unlock()
	defer context.AfterFunc(ctx, q.cancel)()
	<-q.done
	q.cancel()
	q.to.end()
}
