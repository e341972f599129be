from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from openpyxl import Workbook, load_workbook

from anlin.hub.access.models import Credential
from anlin.hub.access.policy import compile_changes
from anlin.hub.audit.log import Actor
from anlin.hub.audit.models import Change, View
from anlin.hub.console.tests.world import World
from anlin.hub.office import exporting, importing, jobs, rows, sheets
from anlin.hub.office.models import Job, JobState
from anlin.hub.office.tests.conftest import (
    Send,
    book,
    faults,
    homes_sheet,
    people_sheet,
    taken,
    vehicles_sheet,
    worked,
)
from anlin.hub.office.workbook import XLSX, csv_of, template
from anlin.hub.people.models import Building, Holder, Residency, StaffProfile, Unit

pytestmark = pytest.mark.django_db(databases=["default", "events"])

DAY = datetime(2099, 6, 30)  # noqa: DTZ001  as a workbook holds it
HEAD = "楼栋,单元,房号,姓名,手机,身份,截止日期\n"


def test_a_list_is_checked_first_and_taken_over_whole_after_a_yes(
    world: World, send: Send, by: Actor
) -> None:
    before = Holder.objects.count()
    job = send(
        book(
            homes_sheet(["5栋", "", "101", 1, 88.5, "自住", "A-1"]),
            people_sheet(
                ["5栋", "", "101", "林青", "13900000001", "业主", "", "", "林先生", ""],
                ["5栋", "", "101", "林红", "", "家属", "", "", "", ""],
                ["5栋", "2单元", "301", "王远", 13900000003.0, "租户", "", "2099-06-30", "", "狗"],
            ),
            vehicles_sheet(["沪B·54321", "5栋", "", "101", "林青", ""]),
        )
    )
    assert job.state == JobState.CHECKED, jobs.findings_of(job)
    assert Holder.objects.count() == before
    assert job.counts["people"] == {"new": 3}
    assert job.counts["homes"] == {"new": 2}
    assert job.counts["vehicles"] == {"new": 1}

    job = taken(job, by)
    assert job.state == JobState.DONE
    assert job.given is None
    wang = Holder.objects.get(name="王远")
    home = wang.residencies.get()
    assert (home.unit.code, home.unit.entrance, home.kind) == ("5-2-301", "2单元", "tenant")
    assert home.ends_at is not None
    assert timezone.localtime(home.ends_at).isoformat()[:10] in ("2099-06-30", "2099-07-01")
    assert wang.phone == "13900000003"
    assert wang.phone_tail == "0003"
    assert Unit.objects.get(code="5-101").area_m2 == 88.5
    assert Credential.objects.get(key="沪B54321").holder.name == "林青"
    assert Change.objects.filter(action="import", model="people.holder").count() == 3
    assert compile_changes(world.community) == 0


def test_every_bad_row_is_named_with_column_value_and_rule_and_nothing_is_written(
    send: Send,
) -> None:
    before = Building.objects.count()
    job = send(
        book(
            people_sheet(
                ["6栋", "", "101", "林", "13900000001", "业主", "", "", "", ""],
                ["6栋", "", "102", "", "13900000002", "业主", "", "", "", ""],
                ["6栋", "", "103", "王", "电话", "业主", "", "", "", ""],
                ["6栋", "", "104", "赵", "", "住客", "", "", "", ""],
                ["6栋", "", "105", "孟", "", "租户", "", "", "", ""],
                ["6栋", "", "106", "郭", "", "租户", "", "2020-01-01", "", ""],
                ["6栋", "", "107", "钱", "", "租户", "2099-02-01", "2099-01-01", "", ""],
                ["6栋", "", DAY, "钱二", "", "业主", "", "", "", ""],
                ["6栋", "", "101", "林", "13900000001", "业主", "", "", "", ""],
                ["6栋", "", "108", "林" * 61, "", "业主", "", "31/12/2099", "", ""],
                ["", "", "#N/A", "王三", "", "业主", "", "", "", ""],
                ["6栋", "1单元", "6-9", "王四", "", "业主", "", "", "", ""],
                ["6栋", "2单元", "6-9", "王五", "", "业主", "", "", "", ""],
            )
        )
    )
    assert job.state == JobState.REFUSED
    assert faults(job) == [
        (3, "姓名", "needed"),
        (4, "手机", "phone"),
        (5, "身份", "kind"),
        (6, "截止日期", "lease"),
        (7, "截止日期", "over"),
        (8, "截止日期", "backwards"),
        (9, "房号", "became_date"),
        (10, "姓名", "double"),
        (11, "姓名", "long"),
        (11, "截止日期", "date"),
        (12, "房号", "error_cell"),
        (12, "楼栋", "needed"),
        (14, "房号", "entrance"),
    ]
    assert job.counts["faults"] == 13
    assert Building.objects.count() == before


def test_who_is_known_is_left_or_changed_and_the_dry_run_says_which(
    world: World, send: Send, by: Actor
) -> None:
    lin, wang = world.people["lin"], world.people["wang"]
    job = send(
        book(
            people_sheet(
                ["1 号楼", "", "1-101", "林安", "13800000001", "业主", "", "", "", ""],
                ["1 号楼", "", "1-102", "王宁", "13800000002", "家属", "", "", "王先生", ""],
                ["1 号楼", "", "1-102", "王小", "", "家属", "", "", "", ""],
            )
        )
    )
    assert job.counts["people"] == {"same": 1, "changed": 1, "new": 1}
    assert job.counts["homes"] == {}
    (change,) = jobs.findings_of(job)["differences"]
    assert change["who"] == "王宁"
    assert change["what"] == [["greeting", "", "王先生"], ["phone", "", "138****0002"]]
    taken(job, by)
    lin.refresh_from_db()
    wang.refresh_from_db()
    assert lin.phone == "13800000001"
    assert (wang.greeting, wang.phone) == ("王先生", "13800000002")
    line = Change.objects.get(action="import", object_id=wang.pk)
    assert line.before == {"greeting": ""}
    assert Residency.objects.filter(holder=lin).count() == 1


def test_one_person_in_two_homes_is_one_person(send: Send, by: Actor) -> None:
    rows_ = [
        ["7栋", "", code, "林青", "13900000001", "业主", "", "", "", ""] for code in ("101", "102")
    ]
    taken(send(book(people_sheet(*rows_))), by)
    assert Holder.objects.get(name="林青").residencies.count() == 2


def test_two_of_one_name_in_one_home_are_told_apart_by_their_telephones(
    send: Send, by: Actor
) -> None:
    one = ["7栋", "", "101", "林青", "13900000001", "业主", "", "", "", ""]
    other = ["7栋", "", "101", "林青", "13900000002", "家属", "", "", "", ""]
    taken(send(book(people_sheet(one, other))), by)
    assert Holder.objects.filter(name="林青").count() == 2
    again = send(book(people_sheet(other, one), homes_sheet(["7栋", "", "101", 1, "", "", ""])))
    assert again.counts["people"] == {"same": 2}
    vague = send(book(people_sheet([*one[:4], "", *one[5:]])))
    assert faults(vague) == [(2, "姓名", "namesakes")]


def test_a_file_posted_twice_does_one_thing(send: Send, meng: StaffProfile, by: Actor) -> None:
    content = book(people_sheet(["7栋", "", "101", "林青", "", "业主", "", "", "", ""]))
    job = taken(send(content), by)
    again, is_new = importing.post(meng, "other name.xlsx", content, by)
    assert (again.pk, is_new, again.state) == (job.pk, False, JobState.DONE)
    assert not jobs.ask(again, JobState.CHECKED, JobState.WORKING, by)
    assert Holder.objects.filter(name="林青").count() == 1


def test_a_list_whose_worker_died_is_interrupted_and_nothing_was_taken_over(
    send: Send, by: Actor
) -> None:
    job = send(book(people_sheet(["7栋", "", "101", "林青", "", "业主", "", "", "", ""])))
    assert jobs.ask(job, JobState.CHECKED, JobState.WORKING, by)
    now = timezone.now()
    assert jobs.looked_at(job, now).state == JobState.WORKING
    with jobs.working(job):
        assert jobs.looked_at(job, now + timedelta(hours=1)).state == JobState.WORKING
    dead = jobs.looked_at(job, now + jobs.START_WAIT)
    assert dead.state == JobState.INTERRUPTED
    assert not Holder.objects.filter(name="林青").exists()
    # The worker was only slow: it may not write any more.
    late = Job.objects.get(pk=job.pk)
    late.state = JobState.WORKING
    with pytest.raises(jobs.Superseded):
        importing.take_over(late)
    assert not Holder.objects.filter(name="林青").exists()
    assert jobs.ask(dead, JobState.INTERRUPTED, JobState.CHECKING, by)
    assert worked(dead).state == JobState.CHECKED


def test_what_was_changed_since_the_dry_run_is_looked_at_again(
    world: World, send: Send, by: Actor
) -> None:
    job = send(book(vehicles_sheet(["沪B54321", "1 号楼", "", "1-101", "林安", ""])))
    assert job.state == JobState.CHECKED
    from anlin.hub.access import services as access

    access.add_plate(world.people["wang"], "沪B54321", by)
    job = taken(job, by)
    assert job.state == JobState.REFUSED
    assert faults(job) == [(2, "车牌", "plate_taken")]


def test_cars_need_an_owner_who_lives_there(send: Send) -> None:
    job = send(
        book(
            vehicles_sheet(
                ["沪B54321", "1 号楼", "", "1-101", "王宁", ""],
                ["沪B54322", "1 号楼", "", "9-999", "林安", ""],
                ["不是车牌", "1 号楼", "", "1-101", "林安", ""],
                ["京A12345", "1 号楼", "", "1-102", "王宁", ""],
            )
        )
    )
    assert faults(job) == [
        (2, "姓名", "owner_unknown"),
        (3, "房号", "home_unknown"),
        (4, "车牌", "plate"),
        (5, "车牌", "plate_taken"),
    ]


def test_one_bound_to_a_building_takes_over_nothing_for_another(
    world: World, send: Send, meng: StaffProfile
) -> None:
    meng.buildings.add(Building.objects.get(name="1 号楼"))
    job = send(
        book(
            people_sheet(
                ["1 号楼", "", "1-105", "林青", "", "业主", "", "", "", ""],
                ["8栋", "", "101", "王远", "", "业主", "", "", "", ""],
            )
        ),
        StaffProfile.objects.get(pk=meng.pk),
    )
    assert faults(job) == [(3, "楼栋", "out_of_scope")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030", "utf-16"])
def test_a_csv_file_is_read_in_the_encodings_that_programs_write(
    send: Send, by: Actor, encoding: str
) -> None:
    text = HEAD + "9栋,,101,林㐂,13900000001,业主,\n9栋,,102,王远,,租户,2099年6月3日\n"
    taken(send(text.encode(encoding)), by)
    assert Holder.objects.get(name="林㐂").residencies.get().unit.code == "9-101"


def test_merged_cells_titles_and_dates_as_excel_writes_them_are_read(send: Send, by: Actor) -> None:
    out = io.BytesIO()
    workbook = Workbook()
    sheet: Any = workbook.active
    sheet.append(["天宝绿洲住户登记表"])
    sheet.merge_cells("A1:F1")
    sheet.append(["楼号", "房间号", "住户姓名", "联系电话", "与房屋关系", "合同到期", "宠物"])
    sheet.append(["9栋", 101, "林青", 13900000001, "户主"])
    sheet.append([None, None, "林红", "139-0000-0002", "配偶"])
    sheet.append([None, 102, "王远", None, "租客", DAY, "狗"])
    sheet.append([None, 103, "赵远", None, "租客", 72866])
    sheet.append([None, 104, "孟远", None, "租客", "2099.6.30"])
    sheet.merge_cells("A3:A7")
    sheet.merge_cells("B3:B4")
    workbook.save(out)
    job = send(out.getvalue())
    assert job.state == JobState.CHECKED, jobs.findings_of(job)
    assert jobs.findings_of(job)["unknown"] == ["Sheet 宠物"]
    taken(job, by)
    homes = {row.holder.name: row for row in Residency.objects.filter(unit__building__name="9栋")}
    assert {name: row.unit.code for name, row in homes.items()} == {
        "林青": "9-101",
        "林红": "9-101",
        "王远": "9-102",
        "赵远": "9-103",
        "孟远": "9-104",
    }
    assert homes["王远"].ends_at == homes["孟远"].ends_at == homes["赵远"].ends_at


def bomb(mebibytes: int) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(mebibytes):
            part.write(b" " * 2**20)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "no_table"),
        (b"PK\x03\x04 not really", "not_a_workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "old_excel"),
        (b"\xff\xfe\x00\xd8", "encoding"),
        (b"a,b\x00c\n", "encoding"),
        (b"\x81", "encoding"),
        ("姓名,电话\n林,1\n".encode(), "column_missing"),
        ("楼栋,房号,姓名,姓名,身份\n1栋,1,林,林,业主\n".encode(), "column_twice"),
        (HEAD.encode(), "empty"),
        (HEAD.encode() + b"x" * sheets.MAX_BYTES, "file_large"),
        (HEAD.encode() + b",,,,,,\n" * 60_001, "many_rows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_list_is_refused_with_its_reason(
    send: Send, content: bytes, code: str
) -> None:
    job = send(content)
    assert job.state == JobState.REFUSED
    found = [fault["code"] for fault in jobs.findings_of(job)["faults"]]
    assert found[:1] == [code]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(send: Send) -> None:
    content = bomb(sheets.MAX_UNPACKED // 2**20 + 1)
    assert len(content) < 2**20
    assert faults(send(content)) == [(0, "", "bomb")]


def test_a_workbook_of_too_many_rows_is_refused(send: Send) -> None:
    out = io.BytesIO()
    workbook = Workbook()
    sheet: Any = workbook.active
    sheet.append(HEAD.strip().split(","))
    sheet.cell(row=sheets.MAX_ROWS + 5, column=1, value="1栋")
    workbook.save(out)
    assert faults(send(out.getvalue())) == [(0, "", "many_rows")]


def test_the_template_explains_every_column_in_both_languages_and_reads_as_empty(
    send: Send,
) -> None:
    content = template()
    workbook = load_workbook(io.BytesIO(content))
    assert workbook.sheetnames == ["人员 People", "房屋 Homes", "车辆 Vehicles", "说明 Notes"]
    told = [cell.value for row in workbook["说明 Notes"].iter_rows() for cell in row if cell.value]
    for columns in rows.COLUMNS.values():
        for column in columns:
            assert column.heading in told
    assert faults(send(content)) == [(0, "", "empty")]


def exported(meng: StaffProfile, by: Actor, purpose: str, form: str = "xlsx") -> bytes:
    job = exporting.ask_for(
        meng,
        exporting.Purpose(purpose),
        "消防演练 第 7 号",
        exporting.Format(form),
        "",
        by,
    )
    job = worked(job)
    assert job.state == JobState.DONE
    return jobs.open_file("export", job.made or b"")


def test_a_list_given_out_says_who_when_and_what_for_and_masks_telephones(
    world: World, meng: StaffProfile, by: Actor
) -> None:
    content = exported(meng, by, "check")
    workbook = load_workbook(io.BytesIO(content))
    cells = [[cell.value for cell in row] for row in workbook["人员 People"].iter_rows()]
    assert "消防演练 第 7 号" in str(cells[0][0])
    assert "test" in str(cells[0][0])
    lin = next(row for row in cells if row[3] == "林安")
    assert lin[4] == "138****0001"
    assert "钱远" not in [row[3] for row in cells]
    assert View.objects.filter(what="export", object_id=world.people["lin"].pk).exists()
    open_ = load_workbook(io.BytesIO(exported(meng, by, "authority")))["人员 People"]
    assert "13800000001" in [row[4].value for row in open_.iter_rows(min_row=3)]


def test_a_list_given_out_comes_back_as_all_the_same(
    meng: StaffProfile, by: Actor, send: Send
) -> None:
    for purpose in ("moving", "check"):
        job = send(exported(meng, by, purpose))
        assert job.state == JobState.CHECKED, jobs.findings_of(job)
        assert {
            count for table in ("homes", "people", "vehicles") for count in job.counts[table]
        } == {"same"}
    assert send(exported(meng, by, "moving", "csv")).counts["people"] == {"same": 2}


def test_no_cell_of_a_list_is_taken_for_a_formula(
    world: World, meng: StaffProfile, by: Actor, send: Send
) -> None:
    evil = '=HYPERLINK("x")'
    job = send(book(people_sheet(["9栋", "", "101", "林青", "", "业主", "", "", evil, "@cmd"])))
    taken(job, by)
    assert Holder.objects.get(name="林青").greeting == evil
    for form in ("xlsx", "csv"):
        content = exported(meng, by, "moving", form)
        if form == "csv":
            assert "'=HYPERLINK" in content.decode("utf-8-sig")
            continue
        sheet = load_workbook(io.BytesIO(content))["人员 People"]
        cells = [cell for row in sheet.iter_rows() for cell in row]
        assert not [cell for cell in cells if cell.data_type == "f"]
        assert f"'{evil}" in [cell.value for cell in cells]
    assert csv_of([["-1", "+86 1", "\t=1"]]).decode("utf-8-sig") == "'-1,'+86 1,'\t=1\r\n"


def test_pages_take_a_list_over_with_two_presses(
    world: World, sign_in: Any, by: Actor, django_capture_on_commit_callbacks: Any
) -> None:
    browser = sign_in("meng")
    bad = HEAD + "9栋,,101,林青,电话,业主,\n"
    file = io.BytesIO(bad.encode("gb18030"))
    file.name = "住户.csv"
    answer = browser.post("/office/lists/post", {"file": file})
    job = Job.objects.get()
    assert answer["Location"] == f"/office/jobs/{job.pk}"
    assert "Starting" in browser.get(answer["Location"]).content.decode()
    worked(job)
    shown = browser.get(answer["Location"]).content.decode()
    assert "is no telephone number" in shown
    assert "电话" in shown
    listed = browser.get(f"/office/jobs/{job.pk}/faults").content.decode("utf-8-sig")
    assert "手机 Telephone,电话,is no telephone number: 5 to 20 digits" in listed

    file = io.BytesIO((HEAD + "9栋,,101,林青,13900000001,业主,\n").encode())
    file.name = "住户.csv"
    answer = browser.post("/office/lists/post", {"file": file})
    job = worked(Job.objects.latest("asked_at"))
    assert "Take all of it over" in browser.get(answer["Location"]).content.decode()
    browser.post(f"/office/jobs/{job.pk}/take-over")
    browser.post(f"/office/jobs/{job.pk}/take-over")
    assert worked(job).state == JobState.DONE
    assert Holder.objects.filter(name="林青").count() == 1
    assert "Done" in browser.get(answer["Location"]).content.decode()


def test_a_list_is_fetched_only_by_whoever_asked_for_it(
    world: World, sign_in: Any, by: Actor
) -> None:
    browser = sign_in("meng")
    refused = browser.post("/office/lists/export", {"purpose": "calling", "format": "xlsx"})
    assert refused.status_code == 422
    assert "Say what for" in refused.content.decode()
    asked = {"purpose": "calling", "format": "xlsx", "reason": "停水通知"}
    answer = browser.post("/office/lists/export", asked)
    job = worked(Job.objects.get())
    assert "Fetch the file" in browser.get(answer["Location"]).content.decode()
    got = browser.get(f"/office/jobs/{job.pk}/file")
    assert got["Content-Type"] == XLSX
    from anlin.hub.people import services as people
    from anlin.hub.people.models import Role

    other, _password = people.add_staff(world.community, "meng2", Role.MANAGER, by)
    browser.force_login(other.user)
    assert browser.get(f"/office/jobs/{job.pk}/file").status_code == 404
