package SeckillSign;

# Signs sessions, hidden URLs, captcha passes and admissions as the Rust crate seckill-core does, from its
# documentation and not by calling it: were both wrong in the same way, the
# suites would notice.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use MIME::Base64 qw(encode_base64url);
use Time::HiRes ();

our @EXPORT_OK = qw(%KEYS now_ms written hidden_path session cookie vouched_for captcha_pass captcha admission);

# The key ring of the suites, first one first. Worthless elsewhere.
our @KEY_IDS = qw(k2 k1);
our %KEYS    = (k2 => 'second-secret-' x 3, k1 => 'first-secret-' x 3);

# Milliseconds since the epoch.
sub now_ms () { int(Time::HiRes::time() * 1000) }

# The text of the key ring's file.
sub keyring_text () { join '', map {"$_ $KEYS{$_}\n"} @KEY_IDS }

# Every field followed by a newline.
sub _lines { join '', map {"$_\n"} @_ }

# base64url HMAC-SHA256 under the purpose's own key, derived from the secret.
sub _hmac {
    my ($secret, $purpose, @fields) = @_;
    my $key = hmac_sha256("seckill $purpose v1", $secret);
    return encode_base64url(hmac_sha256(_lines(@fields), $key));
}

# The course's form: purpose, fields and secret in one MD5.
sub _md5 {
    my ($secret, $purpose, @fields) = @_;
    return md5_hex(_lines("seckill $purpose v1", @fields) . $secret);
}

# The written id of the buyer whom the shop's login names so.
sub written {
    my ($name) = @_;
    return $name =~ s/([^A-Za-z0-9_.\@+~-])/sprintf '%%%02X', ord $1/ger;
}

# A purchase URL: hidden_path($user, $round, $product, %how), where %how may
# have expires (epoch ms), nonce, kid, secret, and digest (md5).
sub hidden_path {
    my ($user, $round, $product, %how) = @_;
    my $expires = $how{expires} // now_ms() + 300_000;
    my $nonce   = $how{nonce}   // sprintf '%08x%08x', rand(2**32), rand(2**32);
    my $kid     = $how{kid}     // $KEY_IDS[0];
    my $secret  = $how{secret}  // $KEYS{$kid};
    my $sign    = ($how{digest} // '') eq 'md5' ? \&_md5 : \&_hmac;
    my $text    = $sign->($secret, 'path', $user, $round, $product, $expires, $nonce);
    return "/buy/$round/$product/$expires/$nonce/$kid.$text";
}

# A session token; %how may have expires, kid, secret.
sub session {
    my ($user, %how) = @_;
    my $expires = $how{expires} // now_ms() + 3_600_000;
    my $kid     = $how{kid}     // $KEY_IDS[0];
    my $secret  = $how{secret}  // $KEYS{$kid};
    return "$user.$expires.$kid." . _hmac($secret, 'session', $user, $expires);
}

# The header line that logs $user in.
sub cookie { 'Cookie: seckill_session=' . session(@_) }

# The buyer for whom an edge vouches in the header $text, and '' if it does not.
sub vouched_for {
    my ($text) = @_;
    my ($user, $expires, $kid, $digest) = $text =~ /^(.+)\.([0-9]+)\.([^.]+)\.([^.]+)$/ or return '';
    my $lasts = $expires - now_ms();
    return $lasts > 0 && $lasts <= 60_000 && $digest eq _hmac($KEYS{$kid}, 'identity', $user, $expires) ? $user : '';
}

# What an edge vouches for when it passes a purchase on: the value of X-Seckill-Admission.
# %what has request, and may have quantity (1), permit, pass, kid, secret.
sub admission {
    my ($user, $round, $product, %what) = @_;
    my $kid    = $what{kid}    // $KEY_IDS[0];
    my $secret = $what{secret} // $KEYS{$kid};
    my @fields = ($user, $round, $product, $what{quantity} // 1, $what{request}, $what{permit} // '', $what{pass} // '');
    return "$kid." . _hmac($secret, 'admission', @fields);
}

# A captcha pass; %how may have expires, nonce, kid, secret, purpose.
sub captcha_pass {
    my ($user, $round, $product, %how) = @_;
    my $expires = $how{expires} // now_ms() + 100_000;
    my $nonce   = $how{nonce}   // sprintf '%08x%08x', rand(2**32), rand(2**32);
    my $kid     = $how{kid}     // $KEY_IDS[0];
    my $secret  = $how{secret}  // $KEYS{$kid};
    my $text    = _hmac($secret, $how{purpose} // 'captcha', $user, $round, $product, $expires, $nonce);
    return "$expires.$nonce.$kid.$text";
}

# The header line that brings it.
sub captcha { 'X-Seckill-Captcha: ' . captcha_pass(@_) }

1;
