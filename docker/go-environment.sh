# Go's settings for everything that set-up builds: its caches in $CHAOSKIT_CACHE (removable, writable), static programs, and never a tool chain that
# Go would fetch by itself. Sourced, never run.
export GOPATH=$CHAOSKIT_CACHE/go-path GOCACHE=$CHAOSKIT_CACHE/go-cache GOFLAGS='-modcacherw -buildvcs=false' GOTOOLCHAIN=local CGO_ENABLED=0
unset GOBIN GOROOT GOMODCACHE
