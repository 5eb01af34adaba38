#!/bin/sh
# Puts lifecycle-policy.json on the bucket of a store s3://BUCKET/PREFIX, with the aws command line.
#
#   apply-lifecycle.sh [--replace] [--show] [--without-glacier] s3://BUCKET[/PREFIX] [-- more options of aws]
#
# --without-glacier leaves the storage classes out, for a server that has none; the archive still ends by age.
# A bucket has one list of rules, and putting one replaces it: rules of others are not thrown away
# unless --replace says so. --show prints what would be put, and asks nobody.
# Example, for what is not AWS:  apply-lifecycle.sh s3://files/hakoiri -- --endpoint-url https://s3.example.net
set -eu

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

replace=no
show=no
classes=yes
store=
while [ $# -gt 0 ]; do
    case $1 in
        --replace) replace=yes ;;
        --show) show=yes ;;
        --without-glacier) classes=no ;;
        --) shift; break ;;
        s3://?*) [ -z "$store" ] || usage; store=${1#s3://} ;;
        *) usage ;;
    esac
    shift
done
[ -n "$store" ] || usage

bucket=${store%%/*}
prefix=
case $store in */*) prefix=${store#*/} ;; esac
prefix=${prefix%/}
# the forms that the server takes, too: nothing that JSON or sed would read otherwise
case $bucket in *[!a-z0-9.-]*|'') echo "apply-lifecycle: $bucket is not a bucket's name" >&2; exit 2 ;; esac
case $prefix in *[!A-Za-z0-9._/-]*) echo "apply-lifecycle: $prefix is not a prefix of a store" >&2; exit 2 ;; esac
[ -z "$prefix" ] || prefix=$prefix/

policy=$(sed "s|\"Prefix\": \"|&$prefix|" "$(dirname "$0")/lifecycle-policy.json")
[ "$classes" = yes ] || policy=$(printf '%s\n' "$policy" | sed '/"Transitions": \[/,/\],/d')
if [ "$show" = yes ]; then
    printf '%s\n' "$policy"
    exit 0
fi

if [ "$replace" = no ]; then
    if ! present=$(aws s3api get-bucket-lifecycle-configuration --bucket "$bucket" \
        --query 'Rules[].ID' --output text "$@" 2>&1); then
        case $present in
            *NoSuchLifecycleConfiguration*) present= ;;
            *) echo "apply-lifecycle: cannot read the rules of $bucket: $present" >&2; exit 1 ;;
        esac
    fi
    for rule in $present; do
        case $rule in
            hakoiri-abandoned-uploads|hakoiri-archive) ;;
            *)
                echo "apply-lifecycle: $bucket has the rule $rule, which would be lost; put ours beside it" \
                    "(--show), or say --replace" >&2
                exit 1
                ;;
        esac
    done
fi
aws s3api put-bucket-lifecycle-configuration --bucket "$bucket" --lifecycle-configuration "$policy" "$@"
echo "apply-lifecycle: the rules are on $bucket, for ${prefix:-all of it}"
