package controllers

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
)

// firstLooks remembers which ModuleSources this process has looked at, so that
// its store is right about them. Until then, status counts: a process that has
// just begun has nothing on its disk, or what was there when it last led.
type firstLooks struct {
	mu   sync.RWMutex
	done map[types.NamespacedName]bool
}

// took notes a look, where it left the store as it should be: with what is
// published in it, or without what is not.
func (f *firstLooks) took(obj *v1alpha1.ModuleSource, o outcome) {
	if obj.Status.Artifact != nil && !o.inStorage && o.withdrawn == nil && o.sync.Published.Digest == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done == nil {
		f.done = map[types.NamespacedName]bool{}
	}
	f.done[client.ObjectKeyFromObject(obj)] = true
}

func (f *firstLooks) forget(name types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.done, name)
}

func (f *firstLooks) has(name types.NamespacedName) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.done[name]
}

// Expects says what is known of an archive beyond the store, for the artifact
// server; from memory and the cache alone.
func (r *ModuleSourceReconciler) Expects(owner artifact.Owner, digest string) artifact.Expectation {
	name := types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
	if r.firstLooks.has(name) {
		return artifact.ExpectSettled
	}
	var obj v1alpha1.ModuleSource
	switch err := r.Client.Get(context.Background(), name, &obj); {
	case apierrors.IsNotFound(err):
		return artifact.ExpectGone
	case err == nil && obj.Status.Artifact != nil && obj.Status.Artifact.Digest == digest:
		return artifact.ExpectPublished
	default:
		return artifact.ExpectUnsettled
	}
}
