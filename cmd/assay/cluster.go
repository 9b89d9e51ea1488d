package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// clusterFlags say which cluster is meant, as kubectl's do.
type clusterFlags struct {
	kubeconfig, context, namespace string
	allNamespaces                  bool
	selector                       string
	watch                          bool
}

func addClusterFlags(s *pflag.FlagSet) *clusterFlags {
	f := &clusterFlags{}
	s.StringVar(&f.kubeconfig, "kubeconfig", "", "file that says where the API server is; default: $KUBECONFIG, or ~/.kube/config")
	s.StringVar(&f.context, "context", "", "context in that file; default: the current one")
	s.StringVarP(&f.namespace, "namespace", "n", "", "namespace; default: the context's")
	s.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "all namespaces")
	s.StringVarP(&f.selector, "selector", "l", "", "label selector of the ModuleSources; default: all")
	s.BoolVarP(&f.watch, "watch", "w", false, "go on, and print what changes, until interrupted")
	return f
}

// cluster is where a command looks.
type cluster struct {
	config    *rest.Config
	namespace string // empty for all
	selector  labels.Selector
	// name is the one ModuleSource that is wanted; empty for all.
	name string
}

// where checks all flags of a command, and reads those that say which cluster.
func (f *clusterFlags) where(output *outputFlag, args []string) (*cluster, error) {
	if err := output.check(); err != nil {
		return nil, err
	}
	if f.watch && output.format != "" {
		return nil, usageError("", "expected --watch or --output, found both")
	}
	return f.cluster(args)
}

// cluster reads the flags. It asks nobody.
func (f *clusterFlags) cluster(args []string) (*cluster, error) {
	if f.allNamespaces && f.namespace != "" {
		return nil, usageError("", "expected --namespace or --all-namespaces, found both")
	}
	selector, err := labels.Parse(f.selector)
	if err != nil {
		return nil, usageError("", "--selector: expected a label selector such as app=podinfo, found %.200q", f.selector)
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context})
	config, err := loaded.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, errors.New("expected a kubeconfig, which says where the API server is, found none\nTry: --kubeconfig FILE, or export KUBECONFIG=FILE")
		}
		return nil, fmt.Errorf("no API server (--kubeconfig, --context, $KUBECONFIG): %w", err)
	}
	config.UserAgent = userAgent()
	c := &cluster{config: config, namespace: f.namespace, selector: selector}
	if c.namespace == "" && !f.allNamespaces {
		if c.namespace, _, err = loaded.Namespace(); err != nil {
			return nil, fmt.Errorf("the namespace of the context: %w", err)
		}
	}
	if len(args) > 0 {
		if c.name = args[0]; f.allNamespaces {
			return nil, usageError("", "expected a name or --all-namespaces, found both")
		}
	}
	quietLibraries()
	return c, nil
}

// quietLibraries keeps client-go's and controller-runtime's logs off the
// terminal: what matters comes back as an error.
var quietLibraries = sync.OnceFunc(func() {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
})

// isWanted reports whether an object of that name and labels is asked for.
func (c *cluster) isWanted(o client.Object) bool {
	return (c.name == "" || o.GetName() == c.name) && c.selector.Matches(labels.Set(o.GetLabels()))
}
