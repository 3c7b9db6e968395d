// Talks with the server as the page of a document does: XML, bytes, and a socket.
(function () {
  'use strict';
  var server = '{inside}';
  var client = server + '/QvAJAXZfc/QvsViewClient.aspx';
  var name = new URLSearchParams(location.search).get('document') || '';
  var view = '?mark=&view=' + encodeURIComponent(name);

  function show(id, text) { document.getElementById(id).textContent = text; }

  var call = new XMLHttpRequest();
  call.open('POST', client + view);
  call.setRequestHeader('Content-Type', 'text/xml');
  call.onload = function () {
    var values = call.responseXML.querySelectorAll('value');
    show('told', [].map.call(values, function (value) {
      return value.getAttribute('text');
    }).join(' '));
  };
  call.send('<update mark="" stamp="" cookie="true" scope="Document" ident="DM" kind="Document"/>');

  var object = new XMLHttpRequest();
  object.open('GET', client + view + '&datamode=binary&slot=&public=only');
  object.responseType = 'arraybuffer';
  object.onload = function () { show('bytes', object.response.byteLength); };
  object.send();

  var socket = new WebSocket(client.replace(/^http/, 'ws') + view);
  socket.onopen = function () { socket.send('Can you hear me?'); };
  socket.onmessage = function (message) { show('echo', message.data); };
  socket.onclose = function () { show('echo', document.getElementById('echo').textContent + ' (closed)'); };

  show('cookies', document.cookie);
}());
