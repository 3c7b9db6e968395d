/* What pages gain where script runs. ES5; every page works without it. */
(function () {
  'use strict';

  var page = document.documentElement;

  function each(selector, visit) {
    var found = document.querySelectorAll(selector);
    var i;
    for (i = 0; i < found.length; i += 1) {
      visit(found[i]);
    }
  }

  function has(element, name) {
    return (' ' + element.className + ' ').indexOf(' ' + name + ' ') >= 0;
  }

  /* The hint beside the password. */
  function watchCapsLock(password) {
    var hint = document.getElementById('caps-lock');
    function show(event) {
      if (hint && event.getModifierState) {
        hint.hidden = !event.getModifierState('CapsLock');
      }
    }
    password.addEventListener('keydown', show);
    password.addEventListener('keyup', show);
    password.addEventListener('blur', function () {
      if (hint) {
        hint.hidden = true;
      }
    });
  }

  /* Moments in the zone of the reader, rounded as the server rounds them. */
  function parts(element, at) {
    var options = { day: 'numeric', month: has(element, 'long') ? 'long' : 'short' };
    if (at.getFullYear() !== new Date().getFullYear()) {
      options.year = 'numeric';
    }
    return options;
  }

  function localise(element) {
    var exact = Date.parse(element.getAttribute('datetime'));
    var tag = page.lang === 'en' ? 'en-GB' : page.lang;
    var minute = 60000;
    var at;
    var shown;
    if (isNaN(exact)) {
      return;
    }
    if (has(element, 'earliest')) {
      exact = Math.ceil(exact / minute) * minute;
    }
    at = new Date(exact);
    shown = at.toLocaleDateString(tag, parts(element, at));
    if (has(element, 'earliest') || has(element, 'minute')) {
      shown += ', ' + at.toLocaleTimeString(tag, { hour: '2-digit', minute: '2-digit' });
    }
    element.textContent = shown;
  }

  function localiseAll() {
    var zone = document.getElementById('zone');
    if (!window.Intl || !zone) {
      return;
    }
    each('time', localise);
    zone.textContent = zone.getAttribute('data-local');
  }

  /* The address on the set-up page. */
  function offerCopy(button) {
    var field = document.getElementById(button.getAttribute('data-copy'));
    if (!field || !document.queryCommandSupported || !document.queryCommandSupported('copy')) {
      return;
    }
    button.hidden = false;
    button.addEventListener('click', function () {
      field.select();
      if (document.execCommand('copy')) {
        button.textContent = button.getAttribute('data-done');
      }
    });
  }

  /* Buttons of a tile say in full what they open to those who listen. */
  function nameButtons(tile) {
    var title = tile.querySelector('h3');
    var buttons = tile.querySelectorAll('button');
    var i;
    for (i = 0; title && i < buttons.length; i += 1) {
      buttons[i].setAttribute('aria-label',
        (buttons[i].getAttribute('aria-label') || buttons[i].textContent) + ': ' + title.textContent);
    }
  }

  /* Desktop's embedded browser offers AvqInitServer. The server is told by a cookie, and the page
     is loaded again once, so that it offers what opens in Desktop. */
  function isInDesktop() {
    /* Old engines refuse the operator in on what their host offers, and call its methods unknown. */
    try {
      return typeof window.external.AvqInitServer !== 'undefined';
    } catch (ignored) {
      return false;
    }
  }

  function tellDesktop() {
    var cookie = '__Host-desktop=1';
    if (document.cookie.indexOf(cookie) < 0 && isInDesktop()) {
      document.cookie = cookie + '; path=/; secure; samesite=lax';
      if (document.cookie.indexOf(cookie) >= 0 && document.querySelector('.tiles')) {
        window.location.reload();
      }
    }
  }

  /* Passkeys. The server writes what the browser is asked, and reads its answer, with bytes in
     base64url; the browser takes and gives buffers. */
  function toBuffer(text) {
    var plain = window.atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    var bytes = new Uint8Array(plain.length);
    var i;
    for (i = 0; i < plain.length; i += 1) {
      bytes[i] = plain.charCodeAt(i);
    }
    return bytes.buffer;
  }

  function toText(buffer) {
    var bytes = new Uint8Array(buffer);
    var plain = '';
    var i;
    for (i = 0; i < bytes.length; i += 1) {
      plain += String.fromCharCode(bytes[i]);
    }
    return window.btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  }

  function withBuffers(options) {
    var lists = [options.allowCredentials || [], options.excludeCredentials || []];
    options.challenge = toBuffer(options.challenge);
    if (options.user) {
      options.user.id = toBuffer(options.user.id);
    }
    lists.forEach(function (list) {
      list.forEach(function (known) {
        known.id = toBuffer(known.id);
      });
    });
    return options;
  }

  function answerOf(credential) {
    var given = credential.response;
    var response = {};
    ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']
      .forEach(function (name) {
        if (given[name]) {
          response[name] = toText(given[name]);
        }
      });
    return JSON.stringify({
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response: response
    });
  }

  function hasPasskeys() {
    return Boolean(window.PublicKeyCredential && window.navigator.credentials);
  }

  function askForPasskey(form) {
    var asked = { publicKey: withBuffers(JSON.parse(form.getAttribute('data-options')).publicKey) };
    var credentials = window.navigator.credentials;
    return has(form, 'new') ? credentials.create(asked) : credentials.get(asked);
  }

  function offerPasskey(form) {
    var failure = form.querySelector('[role=alert]');
    form.hidden = false;
    form.addEventListener('submit', function (event) {
      event.preventDefault();
      failure.hidden = true;
      askForPasskey(form).then(function (credential) {
        form.elements.answer.value = answerOf(credential);
        form.submit();
      }, function () {
        failure.hidden = false;
      });
    });
  }

  function offerPasskeys() {
    if (!hasPasskeys()) {
      return;
    }
    each('form.passkey', offerPasskey);
    each('.with-passkeys', function (element) {
      element.hidden = false;
    });
    each('.without-passkeys', function (element) {
      element.hidden = true;
    });
  }

  tellDesktop();
  offerPasskeys();
  each('input[type=password]', watchCapsLock);
  each('.tiles form', nameButtons);
  each('button[data-copy]', offerCopy);
  localiseAll();
}());
