package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=assay-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=assay-system,resources=events,verbs=create

// Defaults of settings.
var (
	DefaultArtifactRetention = 10 * time.Minute
	DefaultTrustGrace        = 10 * time.Minute
	DefaultArtifactLimits    = artifact.Limits{ArchiveBytes: 64 << 20, Files: 10_000, Ratio: 200}
)

// Options are the controller's settings; see the flags in main.go.
type Options struct {
	// Concurrent is how many verdicts and publications are at work, and how many
	// ModuleSources ask one registry, at the same time.
	Concurrent     int
	StoragePath    string
	StorageAddr    string
	StorageAdvAddr string
	// PodIP is the address at which other replicas reach this one's artifact
	// server; the zero value for none. It is written into the Lease.
	PodIP       netip.Addr
	MetricsAddr string
	HealthAddr  string
	// PprofAddr is where profiles are served; empty for nowhere.
	PprofAddr string
	// EventsAddr is the URL of Flux's notification-controller; empty for none.
	EventsAddr               string
	LeaderElect              bool
	LeaderElectionNamespace  string
	WatchNamespaces          []string
	WatchLabelSelector       string
	ArtifactRetention        time.Duration
	ArtifactLimits           artifact.Limits
	AllowInsecureCredentials bool
	// WatchReferences watches the metadata of Secrets and ConfigMaps.
	WatchReferences bool
	// TrustGrace is how long something that spec.verify names may be gone before
	// that is trust withdrawn; 0 or more.
	TrustGrace time.Duration
	// DialAllow are addresses of registries that are refused otherwise:
	// loopback, link-local, metadata services; see registry.Options.
	DialAllow []netip.Prefix
	// TrustedRoot, TUFMirror and TUFRoot say where the trusted root comes from
	// that judges by default; see trust.Options.
	TrustedRoot string
	TUFMirror   string
	TUFRoot     []byte
	UserAgent   string
	// Version is the controller's, as metrics and traces name it.
	Version string
	// OTLPEndpoint is where traces are sent; nil for nowhere. OTLPSamplingRatio is
	// the part of them that is sent; see package tracing.
	OTLPEndpoint      *url.URL
	OTLPSamplingRatio float64
	Log               logr.Logger
	// Registerer takes Assay's own metrics; nil means controller-runtime's
	// registry, which --metrics-addr serves.
	Registerer prometheus.Registerer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// NewScheme returns the types that the controller speaks of.
func NewScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// Run runs the controller against the API server of kubeconfig until ctx ends.
func Run(ctx context.Context, kubeconfig *rest.Config, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Registerer == nil {
		o.Registerer = metrics.Registry
	}
	tracer, closeTraces, err := newTracer(ctx, o)
	if err != nil {
		return err
	}
	defer closeTraces()
	server := &artifact.Server{Addr: o.StorageAddr, ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(o.Log), slog.LevelInfo)}
	baseURL, err := listen(server, o.StorageAdvAddr)
	if err != nil {
		return fmt.Errorf("--storage-addr %q: %w", o.StorageAddr, err)
	}
	defer server.Listener.Close() // Closed already where it was served.
	mgr, lock, err := newElectedManager(kubeconfig, server, o)
	if err != nil {
		return err
	}
	teller, counts, err := newTeller(mgr, o)
	if err != nil {
		return err
	}
	// Also when ctx has ended.
	flush := flusher(context.WithoutCancel(ctx), teller)
	defer flush()
	if lock != nil {
		lock.beforeRelease = flush
	}
	damaged := make(chan event.GenericEvent, 1024)
	store, err := artifact.NewStore(artifact.Options{
		Root: o.StoragePath, Limits: o.ArtifactLimits, Retention: o.ArtifactRetention, Now: o.Now,
		OnError:  func(err error) { o.Log.Error(err, "artifact store") },
		OnDamage: func(owner artifact.Owner) { tellOf(damaged, owner) },
	})
	if err != nil {
		return fmt.Errorf("--storage-path %q: %w", o.StoragePath, err)
	}
	m := NewMetrics(MetricsOptions{Sources: mgr.GetClient(), Elected: mgr.Elected(), Held: store.Held, Version: o.Version})
	work := telemetry{metrics: m, tracer: tracer}
	server.Store, server.OnAnswer = store, m.answered
	pool := registry.NewPool(registry.Options{
		UserAgent: o.UserAgent, DialAllow: o.DialAllow, Now: o.Now, OnExchange: work.exchange, OnReceived: m.registries.read,
	})
	defer pool.Close()

	changed := make(chan event.GenericEvent, 1)
	root, err := trust.New(trust.Options{
		File: o.TrustedRoot, Mirror: o.TUFMirror, TUFRoot: o.TUFRoot, UserAgent: o.UserAgent,
		Log: o.Log.WithName("trust"), Now: o.Now, OnChange: func() { tell(changed) },
	})
	if err != nil {
		return err
	}

	for _, c := range slices.Concat(m.Collectors(), root.Collectors(), counts) {
		if err := o.Registerer.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
		defer o.Registerer.Unregister(c)
	}
	reconciler := &ModuleSourceReconciler{
		Client: mgr.GetClient(),
		Live:   mgr.GetAPIReader(),
		Teller: teller,
		Syncer: &source.Syncer{
			Pool: pool, Store: store, Slots: source.NewSlots(o.Concurrent), MaxLayerBytes: o.ArtifactLimits.ArchiveBytes, Begin: work.step, Now: o.Now,
		},
		Metrics:                  m,
		Tracer:                   tracer,
		Trust:                    root,
		RootChanged:              changed,
		WatchReferences:          o.WatchReferences,
		TrustGrace:               o.TrustGrace,
		Damaged:                  damaged,
		AllowInsecureCredentials: o.AllowInsecureCredentials,
		BaseURL:                  baseURL,
		Now:                      o.Now,
	}
	server.Expects = reconciler.Expects
	if err := reconciler.SetupWithManager(ctx, mgr, o.Concurrent); err != nil {
		return err
	}
	if err := addRunnables(mgr, store, root, o); err != nil {
		return err
	}
	return start(ctx, mgr, server, flush)
}

// newElectedManager is newManager with a Lease, where one is asked for, that
// tells the server who publishes.
func newElectedManager(kubeconfig *rest.Config, server *artifact.Server, o Options) (manager.Manager, *watchedLock, error) {
	if !o.LeaderElect {
		mgr, err := newManager(kubeconfig, nil, o)
		return mgr, nil, err
	}
	address := netip.AddrPort{}
	if listened, ok := server.Listener.Addr().(*net.TCPAddr); ok && o.PodIP.IsValid() {
		address = netip.AddrPortFrom(o.PodIP, listened.AddrPort().Port())
	}
	lock, err := newLock(kubeconfig, o.LeaderElectionNamespace, address, o.Now)
	if err != nil {
		return nil, nil, err
	}
	mgr, err := newManager(kubeconfig, lock, o)
	if err != nil {
		return nil, nil, err
	}
	// Leader election speaks the old API of events, like controller-runtime's lock.
	lock.LockConfig.EventRecorder = mgr.GetEventRecorderFor(leaderElectionID) //nolint:staticcheck // The new one does not fit the lock.
	server.Leads = func() bool {
		select {
		case <-mgr.Elected():
			return true
		default:
			return false
		}
	}
	server.Leader = lock.holder.address
	return mgr, lock, nil
}

// newManager makes the manager; lock is nil for none.
func newManager(kubeconfig *rest.Config, lock resourcelock.Interface, o Options) (manager.Manager, error) {
	selector, err := labels.Parse(o.WatchLabelSelector)
	if err != nil {
		return nil, fmt.Errorf("--watch-label-selector %q: %w", o.WatchLabelSelector, err)
	}
	byObject := watchedMetadata()
	byObject[&v1alpha1.ModuleSource{}] = cache.ByObject{Label: selector}
	namespaces := map[string]cache.Config{}
	for _, n := range o.WatchNamespaces {
		namespaces[n] = cache.Config{}
	}
	return ctrl.NewManager(kubeconfig, ctrl.Options{
		Scheme: NewScheme(),
		Logger: o.Log,
		Cache: cache.Options{
			DefaultNamespaces: namespaces,
			DefaultTransform:  cache.TransformStripManagedFields(),
			ByObject:          byObject,
		},
		// One controller a process; the check is for several, and tests start
		// one after the other.
		Controller:                          config.Controller{SkipNameValidation: ptr.To(true)},
		Metrics:                             metricsOf(o),
		HealthProbeBindAddress:              o.HealthAddr,
		LeaderElection:                      o.LeaderElect,
		LeaderElectionID:                    leaderElectionID, // of its metric
		LeaderElectionResourceLockInterface: lock,
		LeaseDuration:                       &leaseDuration,
		RenewDeadline:                       &renewDeadline,
		RetryPeriod:                         &retryPeriod,
		LeaderElectionReleaseOnCancel:       true,
		GracefulShutdownTimeout:             &workGrace,
		PprofBindAddress:                    o.PprofAddr,
	})
}

// listen opens the artifact server's listener and returns the base of the
// addresses under which it is reached.
func listen(server *artifact.Server, advertised string) (string, error) {
	addr, err := server.Listen()
	if err != nil {
		return "", err
	}
	if advertised == "" {
		host, port, err := net.SplitHostPort(addr.String())
		if err != nil {
			return "", err
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			if host, err = os.Hostname(); err != nil {
				return "", err
			}
		}
		advertised = net.JoinHostPort(host, port)
	}
	return "http://" + advertised, nil
}

func addRunnables(mgr manager.Manager, store *artifact.Store, root *trust.Source, o Options) error {
	namespace := ""
	if len(o.WatchNamespaces) > 0 {
		namespace = o.WatchNamespaces[0]
	}
	return errors.Join(
		mgr.Add(everywhere(root.Start)),
		mgr.Add(manager.RunnableFunc(store.Run)),
		mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return sweep(ctx, mgr, store, o.Log) })),
		mgr.Add(&setBack{Cache: mgr.GetClient(), Live: mgr.GetAPIReader(), Namespace: namespace, Log: o.Log}),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("cache", func(r *http.Request) error { return cacheSynced(r.Context(), mgr.GetCache()) }),
	)
}

// tell puts one event into the channel; one that is there already says the same.
func tell(changed chan<- event.GenericEvent) {
	select {
	case changed <- event.GenericEvent{Object: &v1alpha1.ModuleSource{}}:
	default:
	}
}

// tellOf puts an event about a ModuleSource into the channel. One that finds it
// full is lost: the next poll notices the same.
func tellOf(damaged chan<- event.GenericEvent, owner artifact.Owner) {
	select {
	case damaged <- event.GenericEvent{Object: &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name}}}:
	default:
	}
}

// everywhere runs with or without leadership.
type everywhere func(context.Context) error

func (f everywhere) Start(ctx context.Context) error { return f(ctx) }
func (everywhere) NeedLeaderElection() bool          { return false }

func cacheSynced(ctx context.Context, c cache.Cache) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if !c.WaitForCacheSync(ctx) {
		return errors.New("the cache is not synced yet")
	}
	return nil
}

// sweepInterval is how often files are looked for that no object owns: a volume
// may come back with those of another time.
const sweepInterval = 10 * time.Minute

// sweep removes the files of objects that were deleted while no controller
// ran, now and then. Each owner is asked for at the time of its removal: what
// the cache does not hold has no reconciler that could publish it.
func sweep(ctx context.Context, mgr manager.Manager, store *artifact.Store, log logr.Logger) error {
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	keep := func(owner artifact.Owner) bool {
		err := mgr.GetClient().Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}, &v1alpha1.ModuleSource{})
		return client.IgnoreNotFound(err) != nil || err == nil
	}
	wait.UntilWithContext(ctx, func(context.Context) {
		if err := store.Sweep(keep); err != nil {
			log.Error(err, "artifact store")
		}
	}, sweepInterval)
	return nil
}
