{
  description = "The toolchain of fastapi-base: nix develop, nix run .#pants, nix fmt, nix flake check";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # The last release branch with CPython 3.9. Only Pants runs on it; nothing that is shipped does.
    nixpkgs-py39.url = "github:NixOS/nixpkgs/nixos-24.11";
  };

  outputs =
    {
      self,
      nixpkgs,
      nixpkgs-py39,
    }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];

      # Versions that the repository states elsewhere are read from there and asserted, not repeated.
      pantsToml = builtins.fromTOML (builtins.readFile ./pants.toml);
      pantsVersion = pantsToml.GLOBAL.pants_version;
      pythonVersion = lib.removeSuffix "\n" (builtins.readFile ./.python-version);
      pantsLock = lib.splitString "\n" (builtins.readFile ./3rdparty/pants/pants.lock);

      perSystem =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          python39 = nixpkgs-py39.legacyPackages.${system}.python39;
          python313 = pkgs.python313;

          tools = {
            inherit (pkgs)
              cacert
              curl
              docker-client
              git
              jq
              postgresql_17
              redis
              ruff
              skopeo
              umoci
              uv
              ;
            inherit python313;
          };

          # Variables that the launcher ./pants reads (ops/build/bootstrap/python.sh), and that keep uv from downloading
          # interpreters.
          env = {
            PANTS_PYTHON = "${python39}/bin/python3.9";
            PYTHON313 = "${python313}/bin/python3.13";
            UV_PYTHON = "${python313}/bin/python3.13";
            UV_PYTHON_DOWNLOADS = "never";
          };

          pants = pkgs.writeShellScriptBin "pants" ''
            export PANTS_PYTHON=''${PANTS_PYTHON:-${env.PANTS_PYTHON}}
            export PYTHON313=''${PYTHON313:-${env.PYTHON313}}
            root=''${FLAKE_ROOT:-$PWD}
            while [ -n "$root" ] && [ ! -e "$root/flake.nix" ]; do root=''${root%/*}; done
            exec "$root/pants" "$@"
          '';
        in
        assert lib.assertMsg (
          lib.versions.majorMinor python313.version == pythonVersion
        ) "nixpkgs' python313 is ${python313.version}, .python-version says ${pythonVersion}";
        assert lib.assertMsg (
          pantsToml.python.interpreter_constraints == [ "CPython==${pythonVersion}.*" ]
        ) "pants.toml asks for ${toString pantsToml.python.interpreter_constraints}, .python-version says ${pythonVersion}";
        assert lib.assertMsg (builtins.any (lib.hasPrefix "pantsbuild-pants==${pantsVersion} ") pantsLock)
          "pants.toml says Pants ${pantsVersion}, 3rdparty/pants/pants.lock holds another Pants";
        assert lib.assertMsg (
          lib.versions.majorMinor python39.version == "3.9"
        ) "Pants ${pantsVersion} runs on CPython 3.9, not ${python39.version}";
        {
          inherit pkgs pants;
          shell = pkgs.mkShell {
            name = "fastapi-base";
            packages = builtins.attrValues tools ++ [ pants ];
            inherit env;
            shellHook = ''
              export FLAKE_ROOT=$PWD
              while [ -n "$FLAKE_ROOT" ] && [ ! -e "$FLAKE_ROOT/flake.nix" ]; do
                FLAKE_ROOT=''${FLAKE_ROOT%/*}
              done
              # Set here, since nix develop would keep the caller's value.
              export SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt
              unset PYTHONPATH
              export PYTHONNOUSERSITE=1
            '';
          };
          toolchain =
            pkgs.runCommand "toolchain-versions" { nativeBuildInputs = builtins.attrValues tools; }
              ''
                set -eu
                python3.13 --version
                ${env.PANTS_PYTHON} --version
                uv --version
                ruff --version
                docker --version
                skopeo --version
                umoci --version
                psql --version
                redis-cli --version
                touch $out
              '';
          format = pkgs.runCommand "nix-format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
            nixfmt --check ${./flake.nix}
            touch $out
          '';
        };

      each = f: lib.genAttrs systems (system: f (perSystem system));
    in
    {
      devShells = each (s: {
        default = s.shell;
      });
      packages = each (s: {
        default = s.pants;
        inherit (s) pants;
      });
      apps = each (s: {
        default = self.apps.${s.pkgs.stdenv.hostPlatform.system}.pants;
        pants = {
          type = "app";
          program = "${s.pants}/bin/pants";
          meta.description = "Pants ${pantsVersion}, the version that pants.toml pins";
        };
      });
      formatter = each (s: s.pkgs.nixfmt-tree);
      checks = each (s: {
        inherit (s) toolchain format;
      });
    };
}
