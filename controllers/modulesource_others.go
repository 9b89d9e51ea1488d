package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/assay-dev/assay/api/v1alpha1"
)

const (
	// firstErrorRetry is the delay after the first error of Kubernetes or the
	// disk; it doubles up to longestErrorRetry, so that an API server that was
	// away for an hour is not waited for much longer than that.
	firstErrorRetry   = 5 * time.Millisecond
	longestErrorRetry = time.Minute
	// behindWait is how long a ModuleSource waits for the cache.
	behindWait = time.Second
)

// errBehind says that the cache does not hold yet what was reported.
var errBehind = errors.New("the cache is behind")

// clear removes the archives of a ModuleSource whose status names none, which
// nobody would judge again, and says why files are still there. A process that
// died between publishing and reporting leaves them, and so does an API server
// that was set back.
func (r *ModuleSourceReconciler) clear(ctx context.Context, obj *v1alpha1.ModuleSource) (unremoved, err error) {
	store, owner := r.Syncer.Store, ownerOf(obj)
	if !store.Has(owner) {
		return nil, nil
	}
	var live v1alpha1.ModuleSource
	err = r.Live.Get(ctx, client.ObjectKeyFromObject(obj), &live)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, err
	case live.UID == obj.UID && live.Status.Artifact != nil:
		return nil, errBehind
	}
	return store.Withdraw(owner), nil
}

// watched is the ModuleSource of an event, if it is one of this controller's.
func (r *ModuleSourceReconciler) watched(ctx context.Context, obj client.Object) []ctrl.Request {
	key := client.ObjectKeyFromObject(obj)
	if err := r.Client.Get(ctx, key, &v1alpha1.ModuleSource{}); err != nil {
		return nil // What is not watched is not looked at.
	}
	r.waiting.tell(key)
	return []ctrl.Request{{NamespacedName: key}}
}

// reported remembers which artifact this process reported last, to tell a status
// that somebody else wrote: the leader before, or an API server that was set
// back.
type reported struct {
	mu        sync.Mutex
	artifacts map[types.NamespacedName]string
}

func (r *reported) note(obj *v1alpha1.ModuleSource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.artifacts == nil {
		r.artifacts = map[types.NamespacedName]string{}
	}
	r.artifacts[client.ObjectKeyFromObject(obj)] = artifactOf(obj)
}

func (r *reported) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.artifacts, key)
}

// byOthers passes updates in which status names another artifact than before,
// and than this process reported.
func (r *reported) byOthers() predicate.Funcs {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.ModuleSource)
		after, also := e.ObjectNew.(*v1alpha1.ModuleSource)
		if !ok || !also || artifactOf(before) == artifactOf(after) {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		own, known := r.artifacts[client.ObjectKeyFromObject(after)]
		return !known || own != artifactOf(after)
	}}
}

// artifactOf names the published artifact; "" for none.
func artifactOf(obj *v1alpha1.ModuleSource) string {
	if obj.Status.Artifact == nil {
		return ""
	}
	return obj.Status.Artifact.Revision + " " + obj.Status.Artifact.Digest
}
