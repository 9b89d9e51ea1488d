package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/assay-dev/assay/controllers/announce"
	"github.com/assay-dev/assay/internal/artifact"
)

// How the controller ends, within the 45 seconds that its Pod has: work gets
// workGrace, what is still to be told flushTimeout, then the Lease is given up,
// and downloads get the 15 seconds of artifact.Server.
var (
	workGrace    = 12 * time.Second
	flushTimeout = 5 * time.Second
)

// start runs the manager and the artifact server until ctx ends.
//
// The server is not one of the manager's: it answers until the Lease is given
// up, so that nothing is out of reach for longer than another replica takes to
// follow, and lets downloads end while that one works already.
func start(ctx context.Context, mgr manager.Manager, server *artifact.Server, flush func()) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() {
		// What is served is read from the cache: see Expects.
		if !mgr.GetCache().WaitForCacheSync(serving) {
			served <- nil
			return
		}
		err := server.Start(serving)
		if err != nil {
			err = fmt.Errorf("serving artifacts: %w", err)
		}
		stop(err)
		served <- err
	}()
	if err := mgr.Start(ctx); err != nil {
		// The Lease may be lost, or work still under way: nothing is waited for.
		return err
	}
	flush()
	stopServing()
	return <-served
}

// newTeller returns who tells people, and what counts that.
func newTeller(mgr manager.Manager, o Options) (*announce.Teller, []prometheus.Collector, error) {
	client, err := eventsv1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, nil, err
	}
	log := o.Log.WithName("events")
	kubernetes := &announce.Kubernetes{Client: client, Log: log}
	if o.EventsAddr == "" {
		return announce.New(kubernetes), nil, nil
	}
	notifier, err := announce.NewNotifier(o.EventsAddr, o.UserAgent, log)
	if err != nil {
		return nil, nil, fmt.Errorf("--events-addr: %w", err)
	}
	return announce.New(kubernetes, notifier), []prometheus.Collector{notifier.Collector()}, nil
}

// flusher returns what sends all that is still to be told, within flushTimeout,
// and ends the teller.
func flusher(ctx context.Context, teller *announce.Teller) func() {
	return func() {
		within, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		teller.Close(within)
	}
}

// CheckEventsAddr is why Options.EventsAddr cannot be posted to.
func CheckEventsAddr(address string) error { return announce.CheckAddress(address) }
