package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/announce"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

// +kubebuilder:rbac:groups=source.assay.dev,resources=modulesources,verbs=get;list;watch
// +kubebuilder:rbac:groups=source.assay.dev,resources=modulesources/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// ModuleSourceReconciler takes ModuleSources from spec to status.
type ModuleSourceReconciler struct {
	// Client reads ModuleSources from the cache and patches their status.
	Client client.Client
	// Live reads past the cache: Secrets and ConfigMaps, which are not kept in
	// memory, and a ModuleSource after a conflict.
	Live client.Reader
	// Teller tells people about transitions.
	Teller *announce.Teller
	// Syncer does the work.
	Syncer *source.Syncer
	// Metrics counts it, and Tracer traces it.
	Metrics *Metrics
	Tracer  trace.Tracer
	// Trust is the trusted root for those who name none.
	Trust *trust.Source
	// RootChanged says that it became another one.
	RootChanged <-chan event.GenericEvent
	// WatchReferences looks again as soon as a Secret or ConfigMap changes that
	// a ModuleSource names; without it, at the next poll.
	WatchReferences bool
	// TrustGrace is how long something that spec.verify names may be gone before
	// that is trust withdrawn.
	TrustGrace time.Duration
	// Damaged names ModuleSources whose archive was found damaged.
	Damaged <-chan event.GenericEvent
	// AllowInsecureCredentials sends credentials over plain HTTP where a spec
	// asks for both.
	AllowInsecureCredentials bool
	// BaseURL is where the artifacts' paths are served, without a slash at the
	// end.
	BaseURL string
	// Now is the clock.
	Now func() time.Time

	schedule   schedule
	reported   reported
	gate       gate
	waiting    waiting
	firstLooks firstLooks
	firstWait  atomic.Pointer[time.Time] // for the trusted root
}

// SetupWithManager registers the controller for ModuleSources, which asks each
// registry for that many of them at the same time.
func (r *ModuleSourceReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, concurrent int) error {
	r.gate.perHost = concurrent
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.ModuleSource{}, referencesIndex, references); err != nil {
		return fmt.Errorf("indexing what ModuleSources name: %w", err)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.ModuleSource{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, annotationChanged(meta.ReconcileRequestAnnotation), annotationChanged(v1alpha1.AcceptDigestAnnotation), r.reported.byOthers()))).
		WatchesRawSource(ctrlsource.Channel(r.RootChanged, r.judgedByDefaultRoot())).
		WatchesRawSource(ctrlsource.Channel(r.Damaged, handler.EnqueueRequestsFromMapFunc(r.watched))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstErrorRetry, longestErrorRetry),
		})
	if r.WatchReferences {
		r.watchReferences(b)
	}
	return b.Complete(r)
}

// annotationChanged passes updates in which the value of an annotation changed.
func annotationChanged(name string) predicate.Funcs {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetAnnotations()[name] != e.ObjectNew.GetAnnotations()[name]
	}}
}

// Reconcile looks at one ModuleSource.
func (r *ModuleSourceReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	owner := artifact.Owner{Namespace: request.Namespace, Name: request.Name}
	var obj v1alpha1.ModuleSource
	if err := r.Client.Get(ctx, request.NamespacedName, &obj); err != nil {
		if apierrors.IsNotFound(err) {
			r.schedule.forget(request.NamespacedName)
			r.reported.forget(request.NamespacedName)
			r.waiting.drop(request.NamespacedName)
			r.firstLooks.forget(request.NamespacedName)
			r.Metrics.sources.forget(request.NamespacedName)
			return ctrl.Result{}, r.Syncer.Store.Withdraw(owner)
		}
		return ctrl.Result{}, err
	}
	if r.schedule.isStale(&obj) {
		if err := r.Live.Get(ctx, request.NamespacedName, &obj); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		r.schedule.wrote(&obj) // An etcd that was restored is older for good.
	}
	if !obj.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if r.waitsForRoot(&obj) {
		return ctrl.Result{RequeueAfter: rootWait}, nil
	}
	if delay := r.stillWaits(&obj); delay > 0 {
		return ctrl.Result{RequeueAfter: delay, Priority: ptr.To(handler.LowPriority)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(&obj))
	defer cancel()
	ctx, end := r.traced(ctx, &obj)
	var o outcome
	defer func() { end(o) }()

	in := r.read(ctx, &obj)
	o, err := r.rejudge(ctx, &obj, in)
	if errors.Is(err, errBehind) {
		return ctrl.Result{RequeueAfter: behindWait}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	due := in.err == nil && !obj.Spec.Suspend && r.schedule.due(&obj, o, r.Now())
	var waits time.Duration
	if due {
		waits = r.pollThroughGate(ctx, &obj, in, &o)
	}
	r.firstLooks.took(&obj, o)
	r.refreshRoot(&obj, o)
	if errors.Is(ctx.Err(), context.Canceled) && o.err != nil && o.err.Kind == source.Transient {
		return ctrl.Result{}, nil // The controller stops: what that cut short says nothing.
	}
	if waits == 0 || o.hasNews() {
		if err := r.report(ctx, &obj, o); err != nil {
			return ctrl.Result{}, err
		}
	}
	if o.unremoved != nil {
		return ctrl.Result{}, o.unremoved // It is not served; it is tried again.
	}
	if waits > 0 {
		r.schedule.hold(request.NamespacedName)
		return ctrl.Result{RequeueAfter: r.waits(&obj, in.request.Repository.Host(), waits), Priority: ptr.To(handler.LowPriority)}, nil
	}
	r.Metrics.look(&obj, o, r.Now())
	return r.schedule.next(&obj, o, r.Now()), nil
}

func timeoutOf(obj *v1alpha1.ModuleSource) time.Duration {
	if t := obj.Spec.Timeout.Duration; t > 0 {
		return t
	}
	return v1alpha1.DefaultTimeout
}

// outcome is what one look at a ModuleSource found: plain data, from which
// status follows.
type outcome struct {
	// policyHash is that of the policy now; "" where it cannot be read.
	policyHash string
	// err is why nothing, or not everything, could be done; nil for success.
	err *source.Error
	// credentials identify those that the registry is asked with.
	credentials string
	// rejudged is the published artifact's verdict under a changed policy.
	rejudged verify.Verified
	// withdrawn is why the published artifact is not trusted any more.
	withdrawn *source.Error
	// notCounted is which authorities were left out, and why; the others are as in
	// inputs.
	notCounted           []string
	goneSince, goneUntil time.Time
	goneUnknown          bool
	// unremoved is why the files of what is withdrawn are still there.
	unremoved error
	// inStorage says that the published artifact is there.
	inStorage bool
	// unkept says that it is, and its signatures are not.
	unkept bool
	// awaitingUntil is until when a new digest may be without a signature; zero
	// where none is awaited.
	awaitingUntil time.Time
	// polled says that the registry was asked, and polledAt since when.
	polled   bool
	polledAt time.Time
	// sync is what it said.
	sync source.Outcome
	// rebuilt is the published artifact, made again after its loss.
	rebuilt source.Outcome
}

// hasNews reports whether there is something to report without a poll.
func (o outcome) hasNews() bool { return o.withdrawn != nil || !o.rejudged.IsZero() }

// pollThroughGate polls, unless the registry is asked by too many others or
// wants to be left alone: then it says how long to wait.
//
// A poll that was slow and ended in whatever error counts against its registry:
// one that is slow with what is refused anyway blocks a worker just the same.
func (r *ModuleSourceReconciler) pollThroughGate(ctx context.Context, obj *v1alpha1.ModuleSource, in readInputs, o *outcome) time.Duration {
	if pinned, ok := in.request.Selector.Pinned(); ok && o.inStorage && pinned == revisionOf(obj.Status.Artifact.Revision) {
		r.poll(ctx, obj, in, o) // Nobody is asked.
		return 0
	}
	p, delay := r.gate.enter(in.request.Repository.Host(), r.Now())
	if delay > 0 {
		return delay
	}
	defer func() {
		var retryAfter time.Duration
		if o.err != nil {
			retryAfter = o.err.RetryAfter
		}
		r.gate.leave(p, r.Now(), o.err != nil, retryAfter)
	}()
	r.poll(ctx, obj, in, o)
	return 0
}

// poll asks the registry, and rebuilds what was lost.
func (r *ModuleSourceReconciler) poll(ctx context.Context, obj *v1alpha1.ModuleSource, in readInputs, o *outcome) {
	request := in.request
	if published := obj.Status.Artifact; published != nil && o.withdrawn == nil {
		current := revisionOf(published.Revision)
		if !o.inStorage || o.unkept {
			r.rebuild(ctx, request, current, obj, o)
		}
		if o.inStorage && !o.unkept {
			request.Current = current
		}
	}
	o.polled, o.polledAt = true, r.Now()
	var err error
	o.sync, err = r.Syncer.Sync(ctx, request)
	o.err = asError(err)
	if o.await(obj, r.Now()); o.awaitingUntil.IsZero() {
		r.Metrics.verdict(o.sync.Verified, err)
	}
}

// rebuild makes a published artifact again that is not in storage, from the
// digest in status, after verifying it again.
func (r *ModuleSourceReconciler) rebuild(ctx context.Context, request source.Request, current registry.Revision, obj *v1alpha1.ModuleSource, o *outcome) {
	rebuilt, err := r.Syncer.Rebuild(ctx, request, current)
	failure := asError(err)
	r.Metrics.verdict(rebuilt.Verified, err)
	switch {
	case failure == nil && rebuilt.Published.Digest == obj.Status.Artifact.Digest:
		o.rebuilt, o.inStorage, o.unkept = rebuilt, true, false
	case failure == nil:
		logr.FromContextOrDiscard(ctx).Info("the rebuilt artifact differs from the published one",
			"expected", obj.Status.Artifact.Digest, "found", rebuilt.Published.Digest)
		o.rebuilt, o.inStorage, o.unkept = rebuilt, true, false
	case failure.Kind == source.Refused:
		r.withdraw(obj, o, failure)
	}
}

// revisionOf reads a revision as registry.Revision writes it.
func revisionOf(text string) registry.Revision {
	if version, digest, ok := strings.Cut(text, "@"); ok {
		return registry.Revision{Version: version, Digest: digest}
	}
	return registry.Revision{Digest: text}
}

// judged reports whether an outcome holds a verdict, yes or no.
func judged(o source.Outcome, err *source.Error) bool {
	return !o.Verified.IsZero() || (err != nil && err.Kind == source.Refused)
}

func ownerOf(obj *v1alpha1.ModuleSource) artifact.Owner {
	return artifact.Owner{Namespace: obj.Namespace, Name: obj.Name}
}
