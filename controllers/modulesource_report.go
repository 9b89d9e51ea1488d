package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// reportTimeout bounds the patch: the attempt's own deadline may have passed.
const reportTimeout = 30 * time.Second

// reportTimeoutAtTheEnd is what is left of it when the controller stops.
const reportTimeoutAtTheEnd = 10 * time.Second

// errReplaced says that the object is not this controller's to report on any
// more.
var errReplaced = errors.New("the name belongs to another object, or the object to another controller")

// report patches the status where it changed, once, and then tells people
// about a transition. On a conflict the same outcome is reported again; the
// work is not repeated. A controller that stops reports what it has done, but
// not on a conflict: it may have lost its Lease, and the other be a successor
// who knows better.
func (r *ModuleSourceReconciler) report(attempt context.Context, obj *v1alpha1.ModuleSource, o outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(attempt), reportTimeout)
	defer cancel()
	defer context.AfterFunc(attempt, func() {
		if errors.Is(attempt.Err(), context.Canceled) { // The controller stops.
			stopping := time.AfterFunc(reportTimeoutAtTheEnd, cancel)
			context.AfterFunc(ctx, func() { stopping.Stop() })
		}
	})()
	var before, after *v1alpha1.ModuleSource
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if before != nil {
			if errors.Is(attempt.Err(), context.Canceled) {
				return errReplaced
			}
			before = &v1alpha1.ModuleSource{}
			if err := r.Live.Get(ctx, client.ObjectKeyFromObject(obj), before); err != nil {
				return err
			}
			if before.UID != obj.UID {
				return errReplaced
			}
		} else {
			before = obj
		}
		after = before.DeepCopy()
		// What was looked at, with the status that is there now.
		looked := obj.DeepCopy()
		looked.Status = before.Status
		after.Status = nextStatus(looked, o, r.BaseURL, r.Now())
		if apiequality.Semantic.DeepEqual(before.Status, after.Status) {
			return nil
		}
		r.reported.note(after)
		return r.Client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if apierrors.IsNotFound(err) || errors.Is(err, errReplaced) {
		return nil // Deleted meanwhile, and perhaps made anew, or taken over.
	}
	if err != nil {
		return fmt.Errorf("patching the status: %w", err)
	}
	r.schedule.wrote(after)
	r.Metrics.published(before, after, o, r.Now())
	r.announce(ctx, before, after)
	return nil
}
