package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// setBackInterval is how often the API server's resource version is looked at:
// one request for one object.
const setBackInterval = 15 * time.Second

// setBack ends with an error when the resource version of the API server has
// gone back, as it does when etcd is restored from a backup. A watch is none the
// wiser: it waits for versions newer than the last one it saw, and what was
// undone never comes. A process that starts again reads everything anew.
type setBack struct {
	// Cache is what the watches have seen.
	Cache client.Reader
	// Live reads past it.
	Live client.Reader
	// Namespace is one that may be read; "" is all of them.
	Namespace string
	Log       logr.Logger
}

// Start looks until ctx ends. An API server that does not answer is no reason.
func (s *setBack) Start(ctx context.Context) error {
	ticker := time.NewTicker(setBackInterval)
	defer ticker.Stop()
	newest := ""
	for {
		now, err := s.look(ctx, &newest)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.Log.V(1).Info("looking at the API server's resource version", "error", err.Error())
		case newer(newest, now):
			return fmt.Errorf("the API server was set back, from resource version %s to %s: everything has to be read anew", newest, now)
		default:
			newest = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look moves newest to what the cache has seen, and returns the API server's
// resource version, which is of a later time.
func (s *setBack) look(ctx context.Context, newest *string) (now string, err error) {
	var cached, live v1alpha1.ModuleSourceList
	if err := s.Cache.List(ctx, &cached, client.UnsafeDisableDeepCopy); err != nil {
		return "", err
	}
	for i := range cached.Items {
		if seen := cached.Items[i].ResourceVersion; newer(seen, *newest) {
			*newest = seen
		}
	}
	// Without a version to begin at, the answer is no older than any before.
	if err := s.Live.List(ctx, &live, client.InNamespace(s.Namespace), client.Limit(1)); err != nil {
		return "", err
	}
	return live.ResourceVersion, nil
}

// newer reports whether one resource version is known to be newer than another;
// "" is older than all.
func newer(a, b string) bool {
	if b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// NeedLeaderElection says no: the cache of one that waits is as stale.
func (s *setBack) NeedLeaderElection() bool { return false }
