// Lists the documents of whoever is signed in, as the page of a web server does.
(function () {
  'use strict';
  var server = '{inside}';
  var page = server + '/QvAJAXZfc/AccessPoint.aspx';

  function update(sets, done) {
    var call = new XMLHttpRequest();
    call.open('POST', page + '?mark=&platform=browser.chrome&dpi=96');
    call.setRequestHeader('Content-Type', 'text/plain');
    call.onload = function () { done(call.responseXML); };
    call.send('<update mark="" stamp="" cookie="true" scope="Document" ident="AccessPoint" '
      + 'kind="AccessPoint">' + sets + '</update>');
  }

  function value(answer, name) {
    return answer.querySelector('value[name="' + name + '"]');
  }

  function show(answer) {
    var list = document.getElementById('documents');
    list.textContent = '';
    document.getElementById('user').textContent = value(answer, 'User').getAttribute('text');
    document.getElementById('count').textContent =
      value(answer, 'FilteredDocCount').getAttribute('text');
    value(answer, 'Documents').querySelectorAll('element').forEach(function (element) {
      var id = encodeURIComponent(element.getAttribute('value'));
      var item = document.createElement('li');
      var picture = document.createElement('img');
      picture.src = page + '?datamode=binary&name=' + id + '&stamp=1&kind=AccessPoint';
      picture.alt = '';
      item.appendChild(picture);
      ['Ajax', 'Plugin'].forEach(function (client) {
        var link = document.createElement('a');
        link.href = page + '?open=&id=' + id + '&client=' + client;
        link.textContent = element.getAttribute('text') + ' (' + client + ')';
        item.appendChild(document.createTextNode(' '));
        item.appendChild(link);
      });
      list.appendChild(item);
    });
  }

  document.getElementById('search').addEventListener('submit', function (event) {
    event.preventDefault();
    var text = this.elements.text.value.replace(/[<>&"]/g, ' ');
    update('<set name="AccessPoint.SearchFilter" text="' + text + '"/>', show);
  });
  document.getElementById('logout').addEventListener('click', function () {
    update('<set name="AccessPoint.Logout" action=""/>', function () {
      location.href = server + '/qlikview/';
    });
  });
  update('<set name="AccessPoint.Update" action=""/>', show);
}());
