;; For the Shepherd: others say #:requirement '(cross-init-serve).
(register-services
 (list (service '(cross-init-serve)
         #:start (make-forkexec-constructor
                  '("/usr/bin/cross-init-bridge" "-t" "systemd" "-N" "--own-watcher" "--end-after-ready"
                    "--pid-file" "/run/cross-init-serve.pid" "--" "/usr/bin/cross-init" "serve")
                  #:pid-file "/run/cross-init-serve.pid")
         #:stop (make-kill-destructor)
         #:respawn? #t)))
